"""Calls about runs: configurations carried out from beginning to end, each in its own process."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import orjson
from fastapi import FastAPI, Header, Path, Query
from starlette.responses import HTMLResponse, Response

from app.api.answers import OrjsonResponse, maybe
from app.api.auth import PREFIX
from app.api.documents import answers
from app.api.headers import POLICY, REPORT_POLICY
from app.api.requests import WHOLE
from app.api.schemas import RunStateName
from app.api.schemas_runs import (
    Configs,
    EquityCurve,
    Run,
    RunDetail,
    RunProgress,
    Runs,
    RunStart,
)
from app.api.services import Services
from app.calendar import zone_of
from app.errors import NotFoundError, RunError, StateError
from app.managers.system_manager.configs import list_server_configs
from app.managers.system_manager.run_queue import RunQueue
from app.runs.equity import read_curve
from app.runs.folder import RunFolder
from app.runs.index import RunRecord
from app.runs.manifest import RunKind, RunState
from app.times import format_times

RunId = Annotated[str, Path(max_length=128, description="A run's id.")]
StateFilter = Annotated[RunStateName | None, Query(description="Only runs in this state.")]
Limit = Annotated[int, WHOLE, Query(ge=1, le=1000, description="The newest so many.")]
Points = Annotated[
    int, WHOLE, Query(ge=4, le=10_000, description="How many points about, at most.")
]
Only = Annotated[
    Literal["cancel", "remove"] | None,
    Query(description="409 where it would have to do the other thing."),
]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=255,
        description="Repeated calls with one key and body are one run.",
    ),
]
_PAGE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The page.",
        "content": {"text/html": {"schema": {"type": "string"}}},
    }
}
_STOPPING: dict[int | str, dict[str, Any]] = {
    202: {"model": Run, "description": "It goes on until it has seen that it is to stop."}
}


def add_run_routes(app: FastAPI, services: Services) -> None:
    """Start, resume and end runs."""
    queue = services.runs

    @app.post(
        PREFIX + "/runs", status_code=202, response_model=Run, tags=["runs"],
        summary="Queue a run", responses=answers(404, 409, 413, 415, 503),
    )  # fmt: skip
    async def start_run(body: RunStart, idempotency_key: Key = None) -> Response:
        """Each in a process of its own; TAPEDECK_RUNS_AT_ONCE at one time, the rest wait."""
        work = _submission(services, body, idempotency_key)
        await asyncio.wait({work})  # a caller that goes away cancels nothing
        found = work.result()
        return OrjsonResponse(found, 202, {"Location": f"{PREFIX}/runs/{found['id']}"})

    @app.post(
        PREFIX + "/runs/{id}/resume", status_code=202, response_model=Run, tags=["runs"],
        summary="Execute an interrupted run again", responses=answers(404, 409, 503),
    )  # fmt: skip
    async def resume_run(id: RunId) -> Response:
        """To its end, told what it was told before. 409 where it was not interrupted.

        What was recorded stays until the new record is complete and begins the same.
        """
        services.check_open()
        found = await asyncio.to_thread(lambda: run_body(queue.record(queue.resume(id))))
        return OrjsonResponse(found, 202)

    @app.delete(
        PREFIX + "/runs/{id}", response_model=Run, tags=["runs"],
        summary="Cancel a run, or remove one that has ended",
        responses=_STOPPING | answers(404, 409, 503),
    )  # fmt: skip
    async def delete_run(id: RunId, only: Only = None) -> Response:
        """One that waits or runs is stopped, and stays; one that has ended is removed."""
        found = await asyncio.to_thread(_end, queue, id, only)
        return OrjsonResponse(found, 200 if RunState(found["state"]).final else 202)


def add_run_reading_routes(app: FastAPI, services: Services) -> None:
    """List and read runs, and what can be run."""
    queue = services.runs

    @app.get(
        PREFIX + "/runs", response_model=Runs, tags=["runs"], summary="The runs of the store",
        responses=answers(503),
    )  # fmt: skip
    async def list_runs(state: StateFilter = None, limit: Limit = 100) -> Response:
        wanted = None if state is None else RunState(state)
        found = await asyncio.to_thread(lambda: queue.store.list(state=wanted, limit=limit))
        return OrjsonResponse({"runs": [run_body(record) for record in found]})

    @app.get(
        PREFIX + "/runs/{id}", response_model=RunDetail, tags=["runs"], summary="One run",
        responses=answers(404, 503),
    )  # fmt: skip
    async def get_run(id: RunId) -> Response:
        """Its progress while it runs; its numbers when it has ended."""
        return OrjsonResponse(await asyncio.to_thread(_detail, queue, id))

    @app.get(
        PREFIX + "/runs/{id}/report", response_class=Response, tags=["runs"],
        summary="A run's report, one HTML page", responses=_PAGE | answers(404, 409, 503),
    )  # fmt: skip
    async def get_report(id: RunId) -> Response:
        """409 until the run has ended, 404 where it left none."""
        page = await asyncio.to_thread(_report, queue, id)
        return HTMLResponse(page, headers={POLICY: REPORT_POLICY})

    @app.get(
        PREFIX + "/runs/{id}/equity", response_model=EquityCurve, tags=["runs"],
        summary="A run's equity curve", responses=answers(404, 503),
    )  # fmt: skip
    async def get_equity(id: RunId, points: Points = 1000) -> Response:
        """Of a run that goes on, up to what it last wrote; empty before it began."""
        return OrjsonResponse(await asyncio.to_thread(_equity, queue, id, points))

    @app.get(
        PREFIX + "/configs", response_model=Configs, tags=["runs"],
        summary="Configurations that can be run", responses=answers(),
    )  # fmt: skip
    async def get_configs() -> Response:
        """The YAML files of TAPEDECK_CONFIGS_DIR; none where it is not set."""
        names = await asyncio.to_thread(list_server_configs, services.settings)
        return OrjsonResponse({"configs": names})


def _submission(
    services: Services, body: RunStart, key: str | None
) -> asyncio.Future[dict[str, Any]]:
    """The run that this call is, queued now unless its key says that it was queued before."""
    queue = services.runs

    def submit() -> dict[str, Any]:
        return run_body(queue.record(queue.submit(body.config, body.set)))

    def begin() -> asyncio.Future[dict[str, Any]]:
        services.check_open()
        return asyncio.ensure_future(asyncio.to_thread(submit))

    return services.run_keys.once(key, orjson.dumps(body.model_dump()), begin)


def run_body(record: RunRecord) -> dict[str, Any]:
    """A run in the words of the contract."""
    return {
        "id": record.id, "name": record.name, "state": str(record.state), "cause": record.cause,
        "created": maybe(record.created_ns), "started": maybe(record.started_ns),
        "finished": maybe(record.finished_ns), "events": record.events, "digest": record.digest,
        "events_digest": record.events_digest,
    }  # fmt: skip


def _detail(queue: RunQueue, run_id: str) -> dict[str, Any]:
    record, folder = queue.record(run_id), queue.store.open(run_id)
    more: dict[str, Any] = {
        "kind": None,
        "resumed": [],
        "progress": None,
        "config": None,
        "summary": None,
        "files": [],
    }
    if record.state is not RunState.BROKEN:
        manifest = folder.manifest
        more |= {"kind": str(manifest.kind), "resumed": list(manifest.resumed)}
        more |= {"config": manifest.config, "summary": record.summary}
        more |= {"files": sorted(manifest.files)}
    if record.state is RunState.RUNNING and (progress := folder.progress()) is not None:
        more["progress"] = {name: progress.get(name) for name in RunProgress.model_fields}
    return run_body(record) | more


def _equity(queue: RunQueue, run_id: str, points: int) -> dict[str, Any]:
    record, folder = queue.record(run_id), queue.store.open(run_id)
    if record.state is RunState.BROKEN:
        raise NotFoundError(f"run {run_id} is broken: {record.cause}")
    if folder.manifest.kind is RunKind.REPLAY:
        raise NotFoundError(f"run {run_id} has no equity: it is a replay, in which nothing traded")
    config = folder.manifest.config
    initial = float(config["portfolio"]["initial_cash"])
    curve = read_curve(folder, initial, zone_of(config["backtest"]["calendar"]), points)
    return {
        "id": run_id, "initial_cash": initial, "rows": curve.rows,
        "times": format_times(curve.ts_ns), "equity": curve.equity, "drawdown": curve.drawdown,
        "days": [{"day": day, "pnl": round(pnl, 8)} for day, pnl in curve.days],
    }  # fmt: skip


def _report(queue: RunQueue, run_id: str) -> bytes:
    record = queue.record(run_id)
    if not record.state.final:
        raise StateError(f"run {run_id} is {record.state}: it has no report yet", record.state)
    folder = queue.store.open(run_id)
    path = folder.path / "report.html"
    if path.is_symlink():  # the run itself left none
        raise RunError(f"{path}: is a link, which may lead anywhere; it is not shown")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(_no_report(record, folder)) from error
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error


def _no_report(record: RunRecord, folder: RunFolder) -> str:
    broken = record.state is RunState.BROKEN
    if not broken and folder.manifest.kind is RunKind.REPLAY:
        return f"run {record.id} has no report: it is a replay, in which nothing traded"
    return f"run {record.id} is {record.state} and left no report"


def _end(queue: RunQueue, run_id: str, only: str | None) -> dict[str, Any]:
    """Stop or remove it; the run as it then stands, or as it last stood."""
    record = queue.record(run_id)
    if not record.state.final:
        if only == "remove":
            raise StateError(f"run {run_id} is {record.state}; cancel it first", record.state)
        queue.cancel(run_id)
        return run_body(queue.record(run_id))
    if only == "cancel":
        raise StateError(f"run {run_id} cannot be cancelled: it is {record.state}", record.state)
    queue.remove(run_id)
    return run_body(record)
