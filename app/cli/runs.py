"""``tapedeck runs``: what runs left behind, where two of them part, and runs of a server."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.remote import SERVER, Key, Url
from app.cli.show import (
    FAILURE,
    INTERRUPTED,
    USAGE,
    Json,
    out,
    print_error,
    print_json,
    settings_of,
    table,
)
from app.errors import RequestError, SettingsError, TapedeckError
from app.times import SECOND_NS, format_time

if TYPE_CHECKING:
    from app.client import Run
    from app.runs.diff import Difference, EventDifference, RunDiff
    from app.runs.folder import RunFolder
    from app.runs.index import RunRecord
    from app.runs.manifest import Manifest, RunState
    from app.runs.store import RunStore

cli = typer.Typer(
    help="List, show, compare and delete runs; submit them to a server, and cancel them.",
    epilog="Example: tapedeck runs list --state completed",
    no_args_is_help=True,
)

_DIFFERENCES = 20  # of a kind, as a table
_HASH_SHOWN = 12


def _ids(incomplete: str) -> list[str]:
    """Runs that a shell may complete with, the newest first; none where settings are wrong."""
    try:
        folder = settings_of().tapedeck_runs_dir
    except SettingsError:
        return []
    return sorted((p.parent.name for p in folder.glob("*/manifest.json")
                   if p.parent.name.startswith(incomplete)), reverse=True)  # fmt: skip


RunId = Annotated[
    str,
    typer.Argument(metavar="ID", help="A run's id, as the list shows it.", autocompletion=_ids),
]
Runs = Annotated[
    Path | None, typer.Option("--runs", help="Folder of the runs. [TAPEDECK_RUNS_DIR]")
]
State = Annotated[
    str | None,
    typer.Option(help="queued, running, completed, stopped, failed, interrupted or broken."),
]
Name = Annotated[str | None, typer.Option(help="Only runs of this name.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Another value for a key; again for more."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many, the newest.")]


@cli.command("list", epilog="Example: tapedeck runs list --state failed --json")
def list_(
    state: State = None, name: Name = None, limit: Limit = None, runs: Runs = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Runs, the newest first; exit code 1 where one of them is broken."""
    from app.runs.manifest import RunState

    wanted = None if state is None else _state(state)
    found = store_of(runs).list(state=wanted, name=name, limit=limit)
    if json:
        print_json({"runs": [_entry(record) for record in found]})
    else:
        rows = [
            (r.id, r.state.value, _short(r.created_ns), _seconds(r), r.events, r.cause)
            for r in found
        ]
        headers = ["id", "state", "created (UTC)", "seconds", "events", "cause"]
        out.print(table("Runs", headers, rows))
    if any(r.state is RunState.BROKEN for r in found):
        raise typer.Exit(FAILURE)


@cli.command("show", epilog="Example: tapedeck runs show sma-20240102T150000Z-1a2b3c --json")
def show(run: RunId, runs: Runs = None, json: Json = False) -> None:
    """One run: what it was made of and came to; exit code 1 where a file is not as it left it."""
    import msgspec

    found = store_of(runs).open(run)
    manifest, wrong = found.manifest, found.check()
    if json:
        print_json(
            {
                "manifest": msgspec.to_builtins(manifest), "summary": found.summary(),
                "progress": found.progress(), "wrong": wrong,
            }
        )  # fmt: skip
    else:
        _print_run(found, manifest)
        for sentence in wrong:
            typer.echo(f"broken: {sentence}", err=True)
    if wrong:
        raise typer.Exit(FAILURE)


@cli.command(
    "diff",
    epilog="Example: tapedeck runs diff sma-20240102T150000Z-1a2b3c sma-20240103T150000Z-4d5e6f",
)
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A run's id.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another run's id.")],
    runs: Runs = None,
    json: Json = False,
) -> None:
    """Find the first event at which two runs part; exit code 0 where they came to the same."""
    import msgspec

    from app.runs.diff import diff_runs

    store = store_of(runs)
    found = diff_runs(store.open(a), store.open(b))
    if json:
        print_json(msgspec.to_builtins(found))
    else:
        _print_diff(found)
    if not found.equal:
        raise typer.Exit(FAILURE)


@cli.command("rebuild", epilog="Example: tapedeck runs rebuild")
def rebuild(runs: Runs = None) -> None:
    """Make the index anew from the folders of the runs."""
    store = store_of(runs)
    typer.echo(f"{store.rebuild()} runs in the index of {store.root}")


@cli.command("delete", epilog="Example: tapedeck runs delete sma-20240102T150000Z-1a2b3c")
def delete(run: RunId, runs: Runs = None) -> None:
    """Remove a run and its folder; refused while a process works on it."""
    store_of(runs).delete(run)
    typer.echo(f"deleted {run}")


@cli.command("resume", epilog="Example: tapedeck runs resume sma-20240102T150000Z-1a2b3c")
def resume(
    run: RunId,
    catalog: Annotated[
        str | None,
        typer.Option("--catalog", help="Folder or URI of the catalog. [the run's or the setting]"),
    ] = None,
    runs: Runs = None, json: Json = False,
) -> None:  # fmt: skip
    """Execute an interrupted run again, to its end, told what it was told before.

    What was recorded stays until the new record is complete and begins the same. Exit code 0 where
    it has ended well, 1 where it failed or differs, 2 where it cannot be resumed, 130 after Ctrl-C
    or SIGTERM: it is then interrupted as before.
    """
    from app.cli.stopping import run_stoppable
    from app.managers.system_manager.resume import ResumeJob, Resumption

    try:
        handle = store_of(runs).reopen(run)
        job = ResumeJob(run, settings_of(tapedeck_runs_dir=runs), catalog)
        resumption = Resumption(job)
        try:
            found = run_stoppable("Resumption", resumption.run, resumption.stop)
        finally:
            handle.release()
    except TapedeckError as error:
        print_error(error)
        raise typer.Exit(USAGE) from error
    _print_resumed(found, json)


def _print_resumed(found: Manifest, json: bool) -> None:
    from app.runs.folder import STOPPED_AGAIN

    if json:
        fields = ("id", "state", "cause", "events", "digest", "events_digest")
        print_json({name: getattr(found, name) for name in fields})
    else:
        typer.echo(f"{found.id} {found.state}")
        for name, value in (("digest", found.digest), ("events digest", found.events_digest)):
            if value is not None:
                typer.echo(f"{name} {value}")
        if found.cause is not None:
            typer.echo(f"tapedeck: {' '.join(found.cause.split())}", err=True)
    if found.state not in ("completed", "stopped"):
        raise typer.Exit(INTERRUPTED if found.cause == STOPPED_AGAIN else FAILURE)


@cli.command("submit", epilog="Example: tapedeck runs submit sma_cross.yaml --set backtest.seed=7")
def submit(
    config: Annotated[str, typer.Argument(help="A file in the server's TAPEDECK_CONFIGS_DIR.")],
    sets: Sets = None, url: Url = SERVER, api_key: Key = None, json: Json = False,
) -> None:  # fmt: skip
    """Queue a run on a server; print its id."""
    from app.client import Tapedeck

    with Tapedeck(url, api_key) as deck:
        _print_answer(deck.submit_run(config, sets or ()), json)


@cli.command("cancel", epilog="Example: tapedeck runs cancel sma-20240102T150000Z-1a2b3c")
def cancel(run: RunId, url: Url = SERVER, api_key: Key = None, json: Json = False) -> None:
    """Stop a run of a server that waits or runs; it stays in the store."""
    from app.client import Tapedeck

    with Tapedeck(url, api_key) as deck:
        _print_answer(deck.cancel_run(run), json)


def _print_answer(run: Run, json: bool) -> None:
    """A run as the server has it; one that runs is yet to see that it is to stop."""
    from app.client.answers import to_plain

    if json:
        print_json(to_plain(run))
    else:
        typer.echo(f"{run.id} {run.state}")


def store_of(runs: Path | None) -> RunStore:
    """The store, runs whose process is gone marked as such."""
    from app.runs.store import RunStore

    settings = settings_of(tapedeck_runs_dir=runs)
    url = settings.tapedeck_runs_database_url
    store = RunStore(settings.tapedeck_runs_dir, None if url is None else url.get_secret_value())
    store.mark_interrupted()
    return store


def _state(text: str) -> RunState:
    from app.runs.manifest import RunState

    known = [state.value for state in RunState]
    if text not in known:
        raise RequestError(f"unknown state {text!r}; allowed: {', '.join(known)}")
    return RunState(text)


# -- one run -----------------------------------------------------------------------------------


def _entry(record: RunRecord) -> dict[str, Any]:
    import msgspec

    found: dict[str, Any] = msgspec.to_builtins(record)
    for name in ("created", "started", "finished"):
        time_ns = found.pop(f"{name}_ns")
        found[name] = None if time_ns is None else format_time(time_ns)
    return found


def _print_run(run: RunFolder, manifest: Manifest) -> None:
    versions = manifest.versions
    rows = [
        ("state", manifest.state.value), ("cause", manifest.cause),
        ("created", manifest.created), ("finished", manifest.finished),
        ("folder", run.path), ("seed", manifest.seed), ("events", manifest.events),
        ("digest", manifest.digest), ("events digest", manifest.events_digest),
        ("tapedeck", f"{versions.tapedeck}, code {versions.code[:_HASH_SHOWN]}"),
        ("python", versions.python), ("strategies", ", ".join(s.file for s in manifest.strategies)),
        ("data files", len(manifest.data)), ("progress", shown(run.progress())),
    ]  # fmt: skip
    out.print(table(run.id, ["", ""], [row for row in rows if row[1] not in (None, "")]))
    summary = run.summary() or {}
    if summary:
        flat = [(d.path, d.a) for d in _leaves(summary)]
        out.print(table("Summary", ["", "value"], flat))


def _leaves(summary: dict[str, Any]) -> tuple[Difference, ...]:
    from app.runs.diff import differences

    return differences(summary, {})


# -- two runs ----------------------------------------------------------------------------------


def _print_diff(found: RunDiff) -> None:
    if found.first_event is not None:
        print_event(found.first_event)
    for title, some in (
        ("They came to", found.came_to), ("Their summaries", found.summary),
        ("They were made of", found.made_of),
    ):  # fmt: skip
        if some:
            rows = [(d.path, shown(d.a), shown(d.b)) for d in some[:_DIFFERENCES]]
            out.print(table(title, ["", "A", "B"], rows))
            if len(some) > _DIFFERENCES:
                typer.echo(f"... and {len(some) - _DIFFERENCES} more; --json shows all")
    typer.echo("The runs came to the same." if found.equal else "The runs differ.")


def print_event(event: EventDifference, a: str = "A", b: str = "B") -> None:
    """The first event that two runs do not share, under their names."""
    if event.a is None or event.b is None:
        longer = b if event.a is None else a
        typer.echo(f"Event {event.seq} is in {longer} only: {shown(event.b or event.a)}")
        return
    kind = f"{event.a['type']} / {event.b['type']}"
    same = event.a["type"] == event.b["type"]
    rows = [(d.path, shown(d.a), shown(d.b)) for d in event.fields]
    title = f"They part at event {event.seq}: {event.a['type'] if same else kind}"
    out.print(table(title, ["", a, b], rows))


def shown(value: Any) -> Any:
    """A value as a cell has it."""
    return json_text.dumps(value) if isinstance(value, dict | list | tuple) else value


def _short(time_ns: int | None) -> str | None:
    return None if time_ns is None else format_time(time_ns)[:19].replace("T", " ")


def _seconds(record: RunRecord) -> float | None:
    if record.started_ns is None or record.finished_ns is None:
        return None
    took_ns = record.finished_ns - record.started_ns
    return None if took_ns < 0 else round(took_ns / SECOND_NS, 1)  # the machine's time was set
