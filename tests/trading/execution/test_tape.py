"""Tapes of a window against a plain search of its items."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.model import Block, Flag, Items, StreamType, Window
from app.trading.context import RunContext
from app.trading.services.execution.codes import Why
from app.trading.services.execution.outcome import Source
from app.trading.services.execution.tape import Tape, Tapes, starts_of, usability
from app.trading.stretch import stretch_of
from tests.trading.harness import DAYS, HandMarket, bar, minute, quote, trade, window

SYMBOLS = ("AAA", "BBB", "CCC")
CODES = {Source.BARS: 1, Source.TRADES: 0x8000, Source.QUOTES: 0x8001}
KINDS = {
    StreamType.QUOTE: Source.QUOTES, StreamType.TRADE: Source.TRADES, StreamType.BAR: Source.BARS
}  # fmt: skip
HALTS = (("BBB", minute(3), minute(5)), ("ZZZ", 0, minute(90)), ("AAA", minute(40), minute(41)))

bits = st.sampled_from([0.0, 0.0, 1.0])


@st.composite
def rows(draw: st.DrawFn) -> Items:
    symbol, at = draw(st.integers(0, 2)), draw(st.integers(0, 8))
    flags, nothing = draw(st.sampled_from([0, 0, Flag.POST_CLOSE])), draw(bits) == 1.0
    price = draw(st.sampled_from([9.5, 10.0, 10.5]))
    kind = draw(st.sampled_from(["bar", "bar5", "trade", "quote"]))
    if kind == "trade":
        return trade(symbol, minute(at), price, flags=flags if nothing else flags | Flag.LAST)
    if kind == "quote":
        return quote(symbol, minute(at), price, 10.0, ask_size=0 if nothing else 5, flags=flags)
    span = 1 if kind == "bar" else 5
    return bar(
        symbol, minute(at), price, price + 1, price - 1, price, 0 if nothing else 10,
        interval_min=span, flags=flags,
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.lists(rows(), min_size=1, max_size=40), st.sets(st.integers(1, 8)),
    st.sampled_from([SYMBOLS, SYMBOLS[:1]]), st.sampled_from([None, 1, 10, 99]),
)  # fmt: skip
def test_a_tape_has_the_usable_rows_of_its_symbol(
    items: list[Items], cuts: set[int], symbols: tuple[str, ...], ahead: int | None
) -> None:
    """``ahead``: how many rows of a block are looked at together; None: windows of none."""
    items = [one for one in items if one["symbol"][0] < len(symbols)] or [bar(0, 0, 1, 1, 1, 1)]
    whole, market = window(items), HandMarket(symbols)
    market.add(items)
    tapes = Tapes(RunContext("tape", symbols, DAYS, 0, market, halts=HALTS))
    tapes.open_day(0)
    if ahead is not None:
        whole = whole._replace(block=Block(whole.times_ns, whole.bounds, whole.items))
    count = len(whole.times_ns)
    edges = [0, *sorted(c for c in cuts if c < count), count]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.trading.stretch._ROWS", ahead)
        for low, high in pairwise(edges):
            part = whole.part(low, high)
            tapes.move(part)
            before = 0 if ahead is None else whole.bounds[low] - whole.bounds[stretch_of(part).low]
            _tapes_are_right(tapes, part, market, symbols, int(before))


def _tapes_are_right(
    tapes: Tapes, played: Window, market: HandMarket, symbols: tuple[str, ...], before: int
) -> None:
    """``before``: how many rows of what is looked at together come before the window."""
    slices = played.slice_of_rows()
    for symbol, name in enumerate(symbols):
        source = next((KINDS[k] for k in KINDS if market.has(symbol, k, 0)), None)
        found = _usable(played.items, symbol, name, source)
        tape = tapes.of(symbol)
        assert (tape is None) == (not found)
        if tape is None or source is None:
            continue
        assert tape.source is source
        assert tape.numbers[tape.low : tape.high].tolist() == [row + before for row in found]
        _rows_are_the_items(tape, played.items[found], source)
        places = range(tape.low, tape.high)
        assert [tape.slice_of(at) for at in places] == slices[found].tolist()
        for number in range(len(played.times_ns)):
            first = sum(slices[found] < number)
            assert tape.first_of(number) == tape.low + first
        starts = starts_of(played.items[found], source).tolist()
        for at in range(tape.low, tape.high + 1):
            for wanted in (0, *starts, starts[-1] + 1):
                later = (p for p in places if p >= at and starts[p - tape.low] >= wanted)
                assert tape.since(at, wanted) == next(later, tape.high)


def _usable(items: Items, symbol: int, name: str, source: Source | None) -> list[int]:
    """Row by row, each tested alone."""
    if source is None:
        return []
    halts = [(symbol, low, high) for halted, low, high in HALTS if halted == name]
    return [
        number
        for number in range(len(items))
        if items["symbol"][number] == symbol and items["stream"][number] == CODES[source]
        and usability(items[number : number + 1], source, halts) == [Why.FILLS]
    ]  # fmt: skip


def _rows_are_the_items(tape: Tape, items: Items, source: Source) -> None:
    numbers = tape.numbers[tape.low : tape.high].tolist()
    values: Any = items["v"]
    read = [tape.records.row(number) for number in numbers]
    assert [r.release_ns for r in read] == items["release_ns"].tolist()
    assert [r.start_ns for r in read] == starts_of(items, source).tolist()
    assert [r.flags for r in read] == items["flags"].tolist()
    np.testing.assert_array_equal([r.values for r in read], values)
    np.testing.assert_array_equal(tape.columns, values.T)
    assert tape.highest == values[:, :3].max(axis=0).tolist()
    assert tape.lowest == values[:, :3].min(axis=0).tolist()
