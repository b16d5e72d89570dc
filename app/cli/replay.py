"""``tapedeck replay``: a replay in this process, without a server."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn

from app.cli.show import (
    FAILURE,
    INTERRUPTED,
    Json,
    err,
    out,
    print_json,
    settings_of,
    split_list,
    table,
)
from app.errors import RequestError
from app.times import SECOND_NS, format_time

if TYPE_CHECKING:
    from app.managers.system_manager import ReplaySession, SessionConfig, SessionStatus
    from app.managers.system_manager.session_record import RecordPlan
    from settings import Settings

EXAMPLE = (
    "Example: tapedeck replay AIG BAC --start 2013-10-07 --end 2013-10-08 --catalog data/catalog"
)
REFRESH_S = 0.1

Symbols = Annotated[list[str], typer.Argument(help="Symbols as in the catalog; '*' is all.")]
Start = Annotated[str, typer.Option(help="First trading date, or a time with a zone.")]
End = Annotated[str, typer.Option(help="Last trading date (inside), or a time with a zone.")]
Streams = Annotated[
    str | None, typer.Option(help="bars_1m, trades, quotes, by commas. Default: all there are.")
]
Speed = Annotated[float, typer.Option(help="Times real time; 0 is as fast as possible.")]
Hours = Annotated[str | None, typer.Option(help="regular, extended or all. [SESSION_HOURS]")]
Calendar = Annotated[str | None, typer.Option(help="Exchange calendar. [SESSION_CALENDAR]")]
Derived = Annotated[
    str | None,
    typer.Option(help="Minutes of derived bars, as 5,15. [DATA_UPKEEP_DERIVED_INTERVALS]"),
]
History = Annotated[int | None, typer.Option(help="Days of look-back. [SESSION_HISTORY_DAYS]")]
CatalogUri = Annotated[
    str | None, typer.Option("--catalog", help="Folder or URI of the catalog. [DATA_CATALOG_URI]")
]
Record = Annotated[
    bool, typer.Option("--record", help="Leave the record of a run, in TAPEDECK_RUNS_DIR.")
]
AllowMissing = Annotated[
    bool, typer.Option("--allow-missing", help="A symbol may lack a stream that is named.")
]


def replay(
    symbols: Symbols,
    start: Start,
    end: End,
    streams: Streams = None,
    speed: Speed = 0.0,
    hours: Hours = None,
    calendar: Calendar = None,
    derived: Derived = None,
    history: History = None,
    catalog: CatalogUri = None,
    allow_missing: AllowMissing = False,
    record: Record = False,
    json: Json = False,
) -> None:
    """Replay days without a server; print what was delivered, and the digest.

    Exit code 0 where it completed, 1 where it failed, 130 after Ctrl-C or SIGTERM.
    """
    minutes = _minutes(derived)

    from app.managers.system_manager import SessionConfig, SystemManager

    settings = settings_of(data_catalog_uri=catalog)
    config = SessionConfig(
        symbols=symbols, start=start, end=end, streams=split_list(streams), speed=speed,
        calendar=calendar, hours=hours, derived_intervals=minutes, history_days=history,
        start_paused=False, allow_missing=allow_missing,
    )  # fmt: skip
    manager = SystemManager.from_settings(settings)
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        code, status, seconds = _run(manager, config, _plan(config, settings) if record else None)
    except KeyboardInterrupt as error:
        raise typer.Exit(INTERRUPTED) from error
    finally:
        signal.signal(signal.SIGTERM, before)
        manager.close()
    _report(status, seconds, json)
    raise typer.Exit(code)


def _plan(config: SessionConfig, settings: Settings) -> RecordPlan:
    from app.catalog.location import redact_uri
    from app.managers.system_manager.backtest import open_store
    from app.managers.system_manager.session_record import RecordPlan

    uri = settings.data_catalog_uri
    return RecordPlan(open_store(settings), config, None if uri is None else redact_uri(uri))


def _interrupt(number: int, frame: object) -> None:
    """SIGTERM stops a replay as Ctrl-C does."""
    del number, frame
    raise KeyboardInterrupt


def _minutes(derived: str | None) -> list[int] | None:
    if derived is None:
        return None
    try:
        return [int(piece) for piece in derived.split(",") if piece.strip()]
    except ValueError as error:
        raise RequestError(
            f"--derived is {derived!r}; allowed: whole minutes by commas, such as 5,15"
        ) from error


def _run(
    manager: Any, config: SessionConfig, plan: RecordPlan | None
) -> tuple[int, SessionStatus, float]:
    """Exit code, last status and wall seconds of one session; Ctrl-C stops it."""
    began_s = time.monotonic()
    session: ReplaySession = manager.start_session(config, record=plan)
    interrupted = False
    try:
        symbols, days = len(session.symbols), session.status().progress.days_total
        typer.echo(f"replaying {symbols} symbol(s), {days} day(s); Ctrl-C stops", err=True)
        _follow(session)
    except KeyboardInterrupt:
        interrupted = True
        session.stop()
    status = session.status()
    failed = status.state != "COMPLETED"
    code = INTERRUPTED if interrupted and failed else FAILURE if failed else 0
    return code, status, time.monotonic() - began_s


def _follow(session: ReplaySession) -> None:
    """Until it has ended, with a bar on stderr where that is a terminal."""
    bar = Progress(
        TextColumn("{task.fields[day]}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[days]} days  {task.fields[rate]} items/s  {task.fields[eta]}"),
        console=err, transient=True, disable=not err.is_terminal,
    )  # fmt: skip
    began_s = time.monotonic()
    with bar:
        task = bar.add_task("", total=1.0, day="", days="", rate="", eta="")
        ended = False
        while not ended:
            ended = session.wait(REFRESH_S)
            bar.update(task, **_picture(session.status(), time.monotonic() - began_s))


def _picture(status: SessionStatus, seconds: float) -> dict[str, Any]:
    progress = status.progress
    return {
        "completed": progress.fraction,
        "day": str(status.trading_day),
        "days": f"{progress.days_done}/{progress.days_total}",
        "rate": f"{progress.items_delivered / max(seconds, 1e-9):,.0f}",
        "eta": "" if progress.eta_s is None else f"ETA {progress.eta_s:,.0f} s",
    }


def _report(status: SessionStatus, seconds: float, json: bool) -> None:
    items = status.progress.items_delivered
    summary: dict[str, Any] = {
        "state": str(status.state),
        "time": format_time(status.time_ns),
        "days": status.progress.days_done,
        "days_total": status.progress.days_total,
        "slices": status.seq,
        "items": items,
        "seconds": round(seconds, 3),
        "items_per_s": round(items / max(seconds, 1e-9)),
        "lag_s": round(status.lag_ns / SECOND_NS, 3),
        "discarded": dict(status.discarded),
        "digest": status.digest,
        "error": status.error,
        "run": status.run,
    }
    if json:
        print_json(summary)
        return
    counts = [f"{reason} {count:,}" for reason, count in status.discarded.items() if count]
    rows = summary | {"discarded": ", ".join(counts) or "none", "digest": None}
    shown = [(name.replace("_", " "), v) for name, v in rows.items() if v is not None]
    out.print(table("Replay", ["", "value"], shown))
    typer.echo(f"digest {status.digest}")  # on a line of its own, whole, to be copied


def add_to(cli: typer.Typer) -> None:
    cli.command(epilog=EXAMPLE)(replay)
