"""``GET /session/data``, encoded once a view for all who ask for the same symbols."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from app.api.answers import data_body, dump_json, symbol_bodies
from app.times import MINUTE_NS

if TYPE_CHECKING:
    from app.managers.system_manager import ReplaySession
    from app.managers.time_manager import View

_MOST = 32  # different answers that are kept
_INLINE = 100  # symbols: more are read on a thread, so that others are not kept waiting


class _Made(NamedTuple):
    """The symbols of a view as JSON."""

    view: View
    symbols: bytes


class DataViews:
    """Belongs to the loop. Between two slices only the time changes, and quality by the minute."""

    def __init__(self) -> None:
        self._made: OrderedDict[Any, asyncio.Future[_Made]] = OrderedDict()

    async def body(
        self, session: ReplaySession, names: Sequence[str] | None
    ) -> tuple[View, dict[str, Any]]:
        """A committed view, as late as the session's is now, and the answer that shows it."""
        view = session.view()
        key = (session.id, names if names is None else tuple(names), *_state(view))
        future = self._made.get(key)
        if future is None:
            future = asyncio.ensure_future(_make(session, names))
            if str(session.state) != "STARTING":  # look-back is still coming
                self._keep(key, future)
        try:
            made = await asyncio.shield(future)
        except Exception:
            self._made.pop(key, None)
            raise
        shown = view if _state(view) == _state(made.view) else made.view
        body = data_body(session, shown, orjson.Fragment(made.symbols))
        return shown, body

    def _keep(self, key: Any, future: asyncio.Future[_Made]) -> None:
        self._made[key] = future
        while len(self._made) > _MOST:
            self._made.popitem(last=False)


def _state(view: View) -> tuple[int, int, int, int]:
    """What the symbols' figures depend on."""
    return view.epoch, view.seq, view.day, view.now_ns // MINUTE_NS


async def _make(session: ReplaySession, names: Sequence[str] | None) -> _Made:
    def read() -> _Made:
        summary = session.summary(names)
        return _Made(summary.view, dump_json(symbol_bodies(session, summary)))

    count = len(session.symbols if names is None else names)
    return read() if count <= _INLINE else await asyncio.to_thread(read)
