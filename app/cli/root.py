"""The commands together, and what an error of any of them looks like."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from app import __version__
from app.cli.backtest import add_to as add_backtest
from app.cli.catalog import cli as catalog_cli
from app.cli.doctor import add_to as add_doctor
from app.cli.importing import cli as import_cli
from app.cli.init import add_to as add_init
from app.cli.live import add_to as add_live
from app.cli.lockstep import add_to as add_lockstep
from app.cli.replay import add_to as add_replay
from app.cli.runs import cli as runs_cli
from app.cli.serve import add_to as add_serve
from app.cli.session import cli as session_cli
from app.cli.show import exit_code, print_error
from app.cli.verify import add_to as add_verify
from app.cli.watch import add_to as add_watch
from app.errors import TapedeckError


class _Guarded(TyperGroup):
    """An error raised on purpose is one line on stderr, never a stack."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except TapedeckError as error:
            print_error(error)
            raise typer.Exit(exit_code(error)) from error


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"tapedeck {__version__}")
        raise typer.Exit


_HELP = "Replay recorded markets: a server, a headless replay, and the care of the data."
cli = typer.Typer(
    name="tapedeck",
    cls=_Guarded,
    help=_HELP,
    epilog="Example: tapedeck serve --catalog data/catalog --port 8000",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@cli.callback(help=_HELP)
def common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it, leave."),
    ] = False,
) -> None:
    del version


for add_command in (
    add_init, add_serve, add_replay, add_backtest, add_live, add_lockstep, add_verify, add_watch,
    add_doctor,
):  # fmt: skip
    add_command(cli)
cli.add_typer(import_cli, name="import")
cli.add_typer(catalog_cli, name="catalog")
cli.add_typer(runs_cli, name="runs")
cli.add_typer(session_cli, name="session")


def main() -> None:
    """Entry of the ``tapedeck`` command."""
    cli(prog_name="tapedeck")
