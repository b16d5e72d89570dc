"""Turns of a strategy that plays in a stream client, as frames: the wire of its chair."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np

from app.api.clients import Client, Frame
from app.api.few import FEW_ROWS, RowNames, few_fields
from app.api.frames import Codec, Run, Selection, plain, slice_fields
from app.api.waiting import LoopBridge
from app.calendar import TradingDay
from app.model import join_items
from app.trading.services.strategy.line import Found, Opening, Turn
from app.trading.services.strategy.remote import rows_as_bytes

_PACK: dict[str, Callable[[Any], bytes]] = {
    "json": msgspec.json.encode, "msgpack": msgspec.msgpack.encode,
}  # fmt: skip


class TurnWire:
    """To one client, from the merge thread; frames are made and sent on the loop."""

    def __init__(
        self, client: Client, bridge: LoopBridge, session_id: str, names: Callable[[], RowNames],
        selection: Selection, records: bool,
    ) -> None:  # fmt: skip
        self._client, self._bridge, self._session_id = client, bridge, session_id
        self._names, self._selection, self._records = names, selection, records

    # -- any thread ----------------------------------------------------------------------------

    def open(self, opening: Opening, epoch: int, number: int) -> None:
        run, moment = opening.run, self._client.codec.moment
        self._post({
            "type": "begin", "session": self._session_id, "epoch": epoch, "turn": number,
            "time": moment(opening.start_ns), "day": opening.day,
            "strategy": opening.section.model_dump(mode="json"),
            "run": {
                "name": run.run_id, "symbols": run.symbols, "first_day": run.first_day,
                "days": [_day(day) for day in run.days], "seed": run.seed,
                "currency": run.currency, "minor_digits": run.minor_digits, "zone": run.zone,
                "actions": [action._asdict() for action in run.actions],
                "instruments": dict(run.instruments), "intervals": run.intervals,
            },
        })  # fmt: skip

    def ask(self, number: int, turn: Turn) -> None:
        frame: dict[str, Any] = {
            "type": "turn", "turn": number, "time": self._client.codec.moment(turn.time_ns),
            "day": turn.day, "call": turn.call,
        }  # fmt: skip
        if turn.news:
            frame["news"] = turn.news
        if turn.event is not None:
            frame["event"] = turn.event
        if turn.token:
            frame["timer"] = turn.token
        if not turn.slices:
            self._post(frame)
        elif self._records:
            frame["slices"] = [[at_ns, rows_as_bytes(items)] for at_ns, items in turn.slices]
            self._post(frame)
        else:
            self._bridge.post(self._send_columns, frame, turn)

    def answer(self, id: int, found: Found) -> None:
        frame: dict[str, Any] = {"type": "found", "id": id}
        if found.items is not None:
            frame |= {"rows": rows_as_bytes(found.items), "total": found.total}
        else:
            frame["close"] = None if found.close is None else found.close._asdict()
        self._post(frame)

    def refuse(self, detail: str, number: int) -> None:
        self._post({"type": "error", "code": "refused", "turn": number, "detail": detail})

    def tell_end(self) -> None:
        self._post({"type": "over", "session": self._session_id})

    def _post(self, frame: Mapping[str, Any]) -> None:
        data = _PACK[self._client.codec.name](frame)
        self._bridge.post(self._client.push, Frame(data))

    # -- on the loop ---------------------------------------------------------------------------

    def _send_columns(self, frame: dict[str, Any], turn: Turn) -> None:
        codec: Codec = self._client.codec
        fields = self._columns(turn)
        if fields is not None:
            del fields["seqs"]
            frame |= plain(fields)
        self._client.push(Frame(_PACK[codec.name](frame)))

    def _columns(self, turn: Turn) -> dict[str, Any] | None:
        codec, names = self._client.codec, self._names()
        if len(turn.slices) == 1 and len(turn.slices[0][1]) <= FEW_ROWS:
            at_ns, items = turn.slices[0]
            return few_fields(codec, names, 0, at_ns, items, self._selection)
        times_ns = np.array([at_ns for at_ns, _ in turn.slices], np.int64)
        counts = [len(items) for _, items in turn.slices]
        run = Run(
            0, np.arange(len(counts)), times_ns, join_items([items for _, items in turn.slices]),
            np.repeat(np.arange(len(counts)), counts),
        )  # fmt: skip
        return slice_fields(codec, names, run, self._selection)


def _day(day: TradingDay) -> dict[str, Any]:
    return day._asdict() | {"parts": [part._asdict() for part in day.parts]}
