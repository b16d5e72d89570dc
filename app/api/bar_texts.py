"""Bars as JSON, encoded once for all who ask for the same ones: between two slices only the time
of an answer changes."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from app.api.answers import dump_json
from app.api.columns import item_rows

if TYPE_CHECKING:
    from app.managers.system_manager.answers import Answer

_MOST_BYTES = 16 << 20
_Key = tuple[str, int, object, int, int, int]


class BarTexts:
    """Belongs to the loop. What was asked for last is kept, up to a bound of bytes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, bytes] = OrderedDict()
        self._bytes = 0

    def rows(self, session_id: str, answer: Answer) -> bytes:
        """The array of an answer's bars, of a session as its data has them."""
        items = answer.items
        if not len(items):
            return b"[]"
        # No two bars of a stream are released at one time: its ends and their number name a run.
        ends = int(items["release_ns"][0]), int(items["release_ns"][-1])
        key = (session_id, answer.view.epoch, answer.stream, len(items), *ends)
        text = self._kept.pop(key, None)
        if text is None:
            text = rows_text(answer)
            self._bytes += len(text)
        self._kept[key] = text
        while self._bytes > _MOST_BYTES:
            self._bytes -= len(self._kept.popitem(last=False)[1])
        return text


def rows_text(answer: Answer) -> bytes:
    """The array of an answer's items."""
    kind = answer.stream.type
    return dump_json(item_rows(kind, answer.items, answer.starts_ns, answer.words, answer.integral))
