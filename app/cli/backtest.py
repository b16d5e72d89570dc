"""``tapedeck backtest``: a configuration run in this process, or looked over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn

from app.cli.show import (
    FAILURE,
    INTERRUPTED,
    USAGE,
    Json,
    err,
    out,
    print_error,
    print_json,
    problems_of,
    settings_of,
    table,
)
from app.cli.stopping import run_stoppable
from app.cli.telling import logs_told
from app.errors import RequestError, TapedeckError

if TYPE_CHECKING:
    from app.managers.system_manager.answers import Progress as RunProgress
    from app.managers.system_manager.backtest import BacktestEngine, BacktestResult

EXAMPLE = "Example: tapedeck backtest run.yaml --set risk.cash_buffer_pct=0.05"
SHOWN = (  # statistics of the summary, and how each is said
    ("return", "share"), ("pnl", "money"), ("final_equity", "money"), ("max_drawdown", "share"),
    ("sharpe", "ratio"), ("trades", "count"), ("win_rate", "share"), ("orders", "count"),
    ("fills", "count"), ("commission", "money"), ("fees", "money"), ("slippage", "money"),
)  # fmt: skip

Config = Annotated[
    Path | None, typer.Argument(metavar="RUN.YAML", help="The configuration of the run.")
]
Check = Annotated[bool, typer.Option("--check", help="Look at everything, and do not run.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A value above the file's; may be repeated."),
]
Schema = Annotated[
    bool, typer.Option("--schema", help="Print the JSON Schema of configurations, for editors.")
]
CatalogUri = Annotated[
    str | None, typer.Option("--catalog", help="Folder or URI of the catalog. [DATA_CATALOG_URI]")
]
Runs = Annotated[
    Path | None, typer.Option("--runs", help="Folder that gets the run's. [TAPEDECK_RUNS_DIR]")
]


def backtest(
    config: Config = None,
    check: Check = False,
    sets: Sets = None,
    schema: Schema = False,
    catalog: CatalogUri = None,
    runs: Runs = None,
    json: Json = False,
) -> None:
    """Run strategies over recorded days; print what they came to, and where the record is.

    Exit code 0 where the run completed, 1 where it failed, 2 where the configuration is wrong,
    130 after Ctrl-C or SIGTERM: the run is then recorded as stopped.
    """
    if schema:
        from app.trading.config import config_schema

        print_json(config_schema())
        return
    if config is None:
        raise RequestError("name the configuration of a run, such as run.yaml")

    def make() -> BacktestEngine:
        from app.managers.system_manager.backtest import BacktestEngine

        return BacktestEngine.from_config(config, sets or (), catalog=catalog, runs=runs)

    if check:
        raise typer.Exit(_check(config, make, json))
    engine = make()
    began_s = time.monotonic()
    result = _run(engine)
    seconds = time.monotonic() - began_s
    if json:
        print_json(described(result, seconds))
    else:
        report_run(result, seconds)
    raise typer.Exit(exit_code_of(result))


def _check(config: Path, make: Callable[[], BacktestEngine], json: bool) -> int:
    """Print what the run would be, or all that is wrong; the exit code."""
    try:
        lines = make().check()
    except TapedeckError as error:
        if json:
            print_json({"ok": False, "problems": problems_of(error), "summary": []})
        else:
            print_error(error)
        return USAGE
    if json:
        print_json({"ok": True, "problems": [], "summary": lines})
    else:
        typer.echo("\n".join([f"{config} can be run", *lines]))
    return 0


def _run(engine: BacktestEngine) -> BacktestResult:
    """The result; Ctrl-C stops the run, a second one leaves at once."""

    def work() -> BacktestResult:
        with _progress() as tell, logs_told(settings_of().log_level):
            return engine.run(tell)

    return run_stoppable("Backtest", work, engine.stop)


@contextmanager
def _progress() -> Iterator[Callable[[RunProgress], None]]:
    """A bar on stderr where that is a terminal."""
    bar = Progress(
        TextColumn("backtest"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[days]} days  {task.fields[rate]} items/s  {task.fields[eta]}"),
        console=err, transient=True, disable=not err.is_terminal,
    )  # fmt: skip
    began_s = time.monotonic()
    with bar:
        task = bar.add_task("", total=1.0, days="", rate="", eta="")

        def tell(now: RunProgress) -> None:
            rate = now.items_delivered / max(time.monotonic() - began_s, 1e-9)
            eta = "" if now.eta_s is None else f"ETA {now.eta_s:,.0f} s"
            days = f"{now.days_done}/{now.days_total}"
            bar.update(task, completed=now.fraction, days=days, rate=f"{rate:,.0f}", eta=eta)

        yield tell


def exit_code_of(result: BacktestResult) -> int:
    """0 where the run completed, 130 where it was stopped, else 1."""
    return {"completed": 0, "stopped": INTERRUPTED}.get(result.outcome, FAILURE)


def described(result: BacktestResult, seconds: float) -> dict[str, Any]:
    """A run's result as JSON has it."""
    report = None if result.folder is None else result.folder / "report.html"
    return {
        "run_id": result.run_id,
        "outcome": result.outcome,
        "cause": result.cause,
        "seconds": round(seconds, 3),
        "folder": _text(result.folder),
        "report": _text(report) if report is not None and report.is_file() else None,
        "digest": result.digest,
        "events_digest": result.events_digest,
        "statistics": result.summary.get("statistics", {}),
    }


def report_run(result: BacktestResult, seconds: float, title: str = "Backtest") -> None:
    """Print what a run came to, and where its record is."""
    found = described(result, seconds)
    rows = [("run", result.run_id), ("outcome", result.outcome), *_statistics(result.summary)]
    out.print(table(title, ["", "value"], [*rows, ("seconds", f"{seconds:,.1f}")]))
    for notice in result.summary.get("notices", ()):
        if notice["level"] == "serious":  # the cause comes once, on stderr
            typer.echo(notice["text"].replace(f": {result.cause}", ""))
    # On lines of their own, whole, to be copied.
    for name in ("digest", "events_digest", "folder", "report"):
        if found[name] is not None:
            typer.echo(f"{name.replace('_', ' ')} {found[name]}")
    if result.cause is not None:
        typer.echo(f"tapedeck: {' '.join(result.cause.split())}", err=True)


def _statistics(summary: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Those that say most; what is not defined says why."""
    values, reasons = summary.get("statistics", {}), summary.get("not_defined", {})
    currency = summary.get("currency", "")
    for name, kind in SHOWN:
        if name in values:
            value = values[name]
            said = reasons.get(name, "none") if value is None else _said(value, kind, currency)
            yield name.replace("_", " "), said


def _said(value: float, kind: str, currency: str) -> str:
    if kind == "share":
        return f"{value:.2%}"
    if kind == "money":
        return f"{value:,.2f} {currency}"
    return f"{value:,}" if kind == "count" else f"{value:.2f}"


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def add_to(cli: typer.Typer) -> None:
    cli.command(epilog=EXAMPLE)(backtest)
