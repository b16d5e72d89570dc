"""A server of this process, for notebooks, scripts and tests: no command, no other process."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

from app.api.server import Server, create_app
from app.errors import SettingsError, TapedeckError
from app.managers.system_manager import SystemManager
from settings import Settings, load_settings

_START_S = 30.0
log = logging.getLogger(__name__)


class LocalServer:
    """A real server in a thread, on the port of its settings (0: any free one).

    ``with LocalServer.over(catalog) as server:`` starts and stops it; its address is
    ``server.url``. One session at a time lives in a process.
    """

    def __init__(self, manager: SystemManager, settings: Settings) -> None:
        self.manager = manager
        self.url = ""
        self._answered = threading.Event()
        self._server = Server(create_app(settings, manager), settings, self._started)
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)

    @classmethod
    def over(cls, catalog: str | Path | None = None, **options: Any) -> LocalServer:
        """A server over a catalog, started.

        Without one it is the catalog of the settings (``DATA_CATALOG_URI``), and where that is
        not set an invented one, which is said. ``options`` are settings by field name, such as
        ``tapedeck_configs_dir="."``.
        """
        if catalog is not None:
            options["data_catalog_uri"] = str(catalog)
        settings = load_settings(**{"tapedeck_port": 0, **options})
        if settings.data_catalog_uri is None:
            settings = settings.model_copy(update={"data_catalog_uri": synthetic_catalog(settings)})
        made = cls(SystemManager.from_settings(settings), settings)
        made.start()
        return made

    def start(self) -> str:
        """Its URL, once it listens."""
        self._thread.start()
        if not self._answered.wait(_START_S) or not self.url:
            raise SettingsError("the server does not listen; is its port free?")
        return self.url

    def ask_to_stop(self) -> None:
        """As SIGTERM does."""
        self._server.should_exit = True

    def join(self, timeout_s: float = 10) -> None:
        """Wait until it has stopped."""
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise TapedeckError(f"the server does not stop within {timeout_s:g} s")

    def stop(self) -> None:
        """Stop the session, answer who waits, and close."""
        self.ask_to_stop()
        self.join()
        self.manager.close()

    def __enter__(self) -> LocalServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _started(self, url: str) -> None:
        self.url = url
        self._answered.set()

    def _run(self) -> None:
        try:
            self._server.run()
        finally:
            self._answered.set()  # it may have ended before it listened


def synthetic_catalog(settings: Settings) -> str:
    """The invented catalog in the cache, written where it is not there yet."""
    from app.catalog.synthetic import is_synthetic_complete, write_synthetic

    root = settings.tapedeck_cache_dir.absolute() / "synthetic"
    log.warning(
        "no catalog is configured (DATA_CATALOG_URI): the data is SYNTHETIC, "
        "invented prices of invented symbols, in %s",
        root,
    )
    if not is_synthetic_complete(root):
        write_synthetic(root)
    return str(root)
