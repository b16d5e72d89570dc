"""The calls about runs of configurations: requests, and how their answers are read."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from app.client.calls import Call, json_of
from app.client.run_answers import Configs, EquityCurve, Run, RunDetail, Runs

_RUN = json_of(Run)
_RUN_DETAIL = json_of(RunDetail)
_RUNS = json_of(Runs)
_EQUITY = json_of(EquityCurve)
_CONFIGS = json_of(Configs)


def configs() -> Call[Configs]:
    """The configurations in the server's folder."""
    return Call("GET", "/configs", _CONFIGS)


def submit_run(
    config: str, set: Sequence[str] = (), *, idempotency_key: str | None = None
) -> Call[Run]:
    """Queues a run of a configuration in the server's folder.

    ``set`` has other values for its keys, as ``"risk.cash_buffer_pct=0.05"``. Calls with the same
    ``idempotency_key`` are one run.
    """
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    body = {"config": config, "set": list(set)}
    return Call("POST", "/runs", _RUN, body=body, headers=headers)


def runs(*, state: str | None = None, limit: int | None = None) -> Call[Runs]:
    """The newest runs, of one state or of all."""
    given = {"state": state, "limit": limit}
    params = {name: str(value) for name, value in given.items() if value is not None}
    return Call("GET", "/runs", _RUNS, params)


def run(run_id: str) -> Call[RunDetail]:
    """A run: how far it is, what it was made of and what it came to."""
    return Call("GET", _path(run_id), _RUN_DETAIL)


def run_report(run_id: str) -> Call[str]:
    """The report of a run that has ended, an HTML page."""
    return Call("GET", _path(run_id) + "/report", lambda _, body: body.decode())


def run_equity(run_id: str, *, points: int | None = None) -> Call[EquityCurve]:
    """The equity of a run that traded, thinned to about ``points`` without losing a peak."""
    params = {} if points is None else {"points": str(points)}
    return Call("GET", _path(run_id) + "/equity", _EQUITY, params)


def cancel_run(run_id: str) -> Call[Run]:
    """Stops a run that waits or runs; it stays in the store. Refused where it has ended.

    One that runs is told to stop, and has not stopped yet when this returns.
    """
    return Call("DELETE", _path(run_id), _RUN, {"only": "cancel"})


def resume_run(run_id: str) -> Call[Run]:
    """Queues a run that was interrupted to be executed again, to its end."""
    return Call("POST", _path(run_id) + "/resume", _RUN)


def delete_run(run_id: str) -> Call[Run]:
    """Removes a run that has ended, with all its files. Refused while it waits or runs."""
    return Call("DELETE", _path(run_id), _RUN, {"only": "remove"})


def _path(run_id: str) -> str:
    """``.`` and ``..`` would be taken for folders."""
    return "/runs/" + quote(run_id, safe="").replace(".", "%2E")
