"""The server: the application, and uvicorn so set up that it stops within two seconds."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from socket import socket
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI
from starlette.middleware import Middleware
from uvicorn.server import HANDLED_SIGNALS

from app import __version__
from app.api import documents, problems
from app.api.auth import PREFIX, Gate, is_loopback
from app.api.connections import ConnectionLimits, GuardedProtocol
from app.api.deck import add_deck
from app.api.documents import DESCRIPTION
from app.api.headers import SecurityHeaders
from app.api.page import add_page
from app.api.precedence import Precedence
from app.api.requests import BodyLimit, StrictRoute
from app.api.routes_data import add_data_routes, add_item_routes
from app.api.routes_runs import add_run_reading_routes, add_run_routes
from app.api.routes_server import add_server_routes
from app.api.routes_session import (
    add_clock_routes,
    add_command_routes,
    add_session_routes,
    add_step_route,
)
from app.api.routes_trading import add_trading_routes
from app.api.routes_transport import add_transport_routes
from app.api.services import Services
from app.api.sockets import StreamProtocol
from app.api.stream import add_stream_route
from app.errors import SettingsError
from app.logs import Place, configure_logging
from app.managers.system_manager import SystemManager

if TYPE_CHECKING:
    from settings import Settings

# A busy merge thread lets the loop wait this long for its turn (5 ms is Python's own): measured,
# it halves what callers wait.
_SWITCH_S = 0.0005
# The session is stopped, and waiting calls answered, before uvicorn starts to count.
_GRACE_S = 1
_LINGER_S = 0.5  # to read the last of what was sent


def create_app(settings: Settings, manager: SystemManager) -> FastAPI:
    """The application over one manager; what it shares is in ``app.state.services``."""
    services = Services(settings, manager)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await services.open()
        yield
        await services.close()

    app = FastAPI(
        title="Tapedeck",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,  # the framework's pages load scripts from other hosts
        redoc_url=None,
        middleware=[
            Middleware(Precedence, way=manager.right_of_way),
            Middleware(Gate, key=services.key, local=is_loopback(settings.tapedeck_host)),
            Middleware(BodyLimit, limit=settings.http_max_body_bytes),
        ],
    )
    app.router.route_class = StrictRoute
    app.state.services = services
    problems.install(app)
    add_session_routes(app, services)
    add_clock_routes(app, services)
    add_command_routes(app, services)
    add_step_route(app, services)
    add_transport_routes(app, services)
    add_item_routes(app, services)
    add_data_routes(app, services)
    add_run_routes(app, services)
    add_run_reading_routes(app, services)
    add_trading_routes(app, services)
    add_server_routes(app, services)
    add_stream_route(app, services)
    add_page(app)
    add_deck(app)
    documents.install(app, services.max_wait_s)
    return app


class Server(uvicorn.Server):
    """Answers who waits before connections are closed; ``on_started`` is told the base URL."""

    def __init__(
        self, app: FastAPI, settings: Settings, on_started: Callable[[str], object]
    ) -> None:
        super().__init__(
            uvicorn.Config(
                SecurityHeaders(app),
                host=settings.tapedeck_host,
                port=settings.tapedeck_port,
                loop="auto",
                http=_guarded(settings),
                ws=StreamProtocol,
                ws_max_size=settings.stream_max_frame_bytes,
                ws_per_message_deflate=False,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACE_S,
            )
        )
        self._services: Services = app.state.services
        self._on_started = on_started

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._on_started(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        await self._services.close()
        loop = asyncio.get_running_loop()
        late = loop.call_later(_LINGER_S, self._hang_up)
        await super().shutdown(sockets)
        late.cancel()
        self._hang_up()
        await asyncio.sleep(0)  # lost connections are told so before the loop closes

    def _hang_up(self) -> None:
        """Drop whoever has not read what was sent: uvloop does not close before they have."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but a signal that was obeyed is not raised again: the exit code is 0."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[signal.Signals, Any] = {
            number: signal.signal(number, self.handle_exit) for number in map(
                signal.Signals, HANDLED_SIGNALS
            )
        }  # fmt: skip
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _guarded(settings: Settings) -> Any:
    """What makes the protocol of each connection of one server."""
    limits = ConnectionLimits(
        settings.http_max_connections, settings.http_max_url_bytes,
        settings.http_max_header_bytes, settings.http_max_request_seconds,
        settings.http_max_send_seconds,
    )  # fmt: skip
    return partial(GuardedProtocol, limits=limits, open_now=set())


@contextlib.contextmanager
def quick_turns() -> Iterator[None]:
    """The interpreter so set up that no thread of a server waits long for another."""
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    gc.collect()
    gc.freeze()  # modules and the application stay: to look through them again takes 60 to 100 ms
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before_s)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; SettingsError where the port cannot be had."""
    manager = SystemManager.from_settings(settings)
    logs = configure_logging(settings.log_level, settings.log_format, _where_of(manager))
    server = Server(create_app(settings, manager), settings, _print_urls)
    try:
        with quick_turns():
            server.run()
    except SystemExit as error:  # uvicorn's way to say so
        raise SettingsError(
            f"cannot listen on {settings.tapedeck_host} port {settings.tapedeck_port}; "
            "set TAPEDECK_PORT to a free one"
        ) from error
    finally:
        manager.close()
        logs.close()


def _where_of(manager: SystemManager) -> Callable[[], Place | None]:
    """The place in the session for log records; None while there is no session."""

    def where() -> Place | None:
        session = manager.session
        if session is None:
            return None
        view = session.view()
        return Place(session.id, view.now_ns, view.epoch, view.seq)

    return where


def _print_urls(base: str) -> None:
    stream = base.replace("http", "ws", 1)
    sys.stdout.write(
        f"Tapedeck serves {base}{PREFIX}\n"
        f"  deck      {base}/\n"
        f"  API page  {base}/docs\n"
        f"  stream    {stream}{PREFIX}/stream\n"
        f"  metrics   {base}/metrics\n"
    )
    sys.stdout.flush()
