"""``tapedeck lockstep``: a strategy file in this process, played with a server's session."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.live import Key
from app.cli.stopping import run_stoppable

EXAMPLE = "Example: tapedeck lockstep sma_cross.py --name sma --session http://127.0.0.1:8000"

File = Annotated[Path, typer.Argument(metavar="STRATEGY.PY", help="The strategy's file.")]
Name = Annotated[str, typer.Option(help="The id that the session's configuration has for it.")]
Session = Annotated[str, typer.Option("--session", help="URL of the server.")]
ClassName = Annotated[
    str | None, typer.Option("--class", help="The class in the file, where it has several.")
]
Policy = Annotated[
    str | None,
    typer.Option(help="What becomes of the session if this client is late: pause, drop, fail."),
]


def lockstep(
    file: File,
    name: Name,
    session: Session = "http://127.0.0.1:8000",
    class_name: ClassName = None,
    policy: Policy = None,
    api_key: Key = None,
) -> None:
    """Play a strategy in lockstep: the session's time moves when this client has answered.

    The session is one of a configuration in which the strategy has 'lockstep: true'. Start it
    before or after; parameters and symbols are the configuration's. Ends with the session; exit
    code 0 where that is COMPLETED or STOPPED.
    """
    from app.lockstep.run import LockstepRun

    run = LockstepRun(
        file, session, name, class_name=class_name, api_key=api_key, policy=policy
    )  # fmt: skip
    state = run_stoppable("Lockstep", lambda: run.run(_tell), run.stop)
    typer.echo(f"{name}: {run.turns} turns; the session is {state}")
    if state == "FAILED":
        raise typer.Exit(1)


def _tell(frame: dict[str, Any]) -> None:
    if frame["type"] == "begin":
        typer.echo(f"plays in session {frame['session']}, epoch {frame['epoch']}")


def add_to(cli: typer.Typer) -> None:
    cli.command(epilog=EXAMPLE)(lockstep)
