"""``tapedeck serve``: the server, in this process."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.show import settings_of

Host = Annotated[str | None, typer.Option(help="Address to listen on. [TAPEDECK_HOST]")]
Port = Annotated[int | None, typer.Option(help="Port to listen on. [TAPEDECK_PORT]")]
CatalogUri = Annotated[
    str | None, typer.Option("--catalog", help="Folder or URI of the catalog. [DATA_CATALOG_URI]")
]
Speed = Annotated[
    float | None, typer.Option(help="Speed of new sessions. [DATA_MANAGER_BACKTEST_SPEED]")
]
LogLevel = Annotated[str | None, typer.Option(help="debug, info, warning or error. [LOG_LEVEL]")]
LogFormat = Annotated[str | None, typer.Option(help="people or json. [LOG_FORMAT]")]


def serve(
    host: Host = None,
    port: Port = None,
    catalog: CatalogUri = None,
    speed: Speed = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Serve replays over HTTP until Ctrl-C.

    Settings come from the environment and .env; an option stands above its setting.
    """
    settings = settings_of(
        tapedeck_host=host, tapedeck_port=port, data_catalog_uri=catalog,
        data_manager_backtest_speed=speed, log_level=log_level, log_format=log_format,
    )  # fmt: skip

    from app.api.server import run

    run(settings)


def add_to(cli: typer.Typer) -> None:
    cli.command(epilog="Example: tapedeck serve --catalog data/catalog --port 8000")(serve)
