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
_INLINE = 1000  # symbols (7 ms): more are read on a thread, so that others are not kept waiting


class _Made(NamedTuple):
    """The symbols of a view as JSON."""

    view: View
    symbols: bytes


class DataViews:
    """Belongs to the loop. Between two slices only the time changes, and quality by the minute.

    Of the same symbols one reading is at work and one is to come, which all who ask meanwhile
    share: however fast the replay and however many ask, one waits for two readings at most.
    """

    def __init__(self) -> None:
        self._made: OrderedDict[Any, _Made] = OrderedDict()
        self._to_come: dict[Any, asyncio.Task[_Made]] = {}
        self._at_work: dict[Any, asyncio.Task[_Made]] = {}

    async def body(
        self, session: ReplaySession, names: Sequence[str] | None
    ) -> tuple[View, dict[str, Any]]:
        """A committed view, as late as the session's is now, and the answer that shows it."""
        view = session.view()
        asked = (session.id, names if names is None else tuple(names))
        made = self._made.get((*asked, *_state(view)))
        if made is None:
            if asked not in self._to_come:
                self._to_come[asked] = asyncio.create_task(self._read(asked, session, names))
            made = await asyncio.shield(self._to_come[asked])
        shown = view if _state(view) == _state(made.view) else made.view
        body = data_body(session, shown, orjson.Fragment(made.symbols))
        return shown, body

    async def _read(self, asked: Any, session: ReplaySession, names: Sequence[str] | None) -> _Made:
        before = self._at_work.get(asked)
        if before is not None:
            await asyncio.wait([before])
        # Who asks from here on may know of a later view than this one will read.
        task = self._at_work[asked] = self._to_come.pop(asked)
        is_whole = str(session.state) != "STARTING"  # or look-back is still coming
        try:
            made = await _make(session, names)
        finally:
            if self._at_work.get(asked) is task:
                del self._at_work[asked]
        if is_whole:
            self._keep((*asked, *_state(made.view)), made)
        return made

    def _keep(self, key: Any, made: _Made) -> None:
        self._made[key] = made
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
