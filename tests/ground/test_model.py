"""Words that all layers share: streams and their order, texts, windows, records, errors."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import RequestError, StateError, TapedeckError, nearest
from app.model import (
    ITEM,
    Dictionary,
    Stream,
    StreamType,
    Window,
    channel_name,
    copy_items,
    empty_items,
    field_index,
    join_items,
    make_items,
    parse_channel,
    pick_items,
)


def test_a_record_is_72_packed_little_endian_bytes() -> None:
    assert ITEM.itemsize == 72
    item = make_items(5, [2], 3, [1.5])
    item["symbol"] = 7
    assert item.tobytes() == (
        (2).to_bytes(8, "little") + (7).to_bytes(4, "little") + (5).to_bytes(2, "little")
        + (3).to_bytes(2, "little") + np.array([1.5, 0, 0, 0, 0, 0, 0], "<f8").tobytes()
    )  # fmt: skip


@pytest.mark.parametrize("minutes", [1, 5, 60, 1440])
def test_channels_of_bars(minutes: int) -> None:
    name = channel_name(StreamType.BAR, minutes)
    assert parse_channel(name) == (StreamType.BAR, minutes)
    assert Stream("A", StreamType.BAR, minutes).channel == name


def test_channels_of_ticks() -> None:
    assert parse_channel("trades") == (StreamType.TRADE, 0)
    assert parse_channel("quotes") == (StreamType.QUOTE, 0)


@pytest.mark.parametrize(
    "channel",
    ["", "bars", "bars_m", "bars_0m", "bars_01m", "bars_1441m", "bars_-1m", "bars_1.5m", "bars_٣m",
     "bars_1h", "Trades", "bars_²m", "xbars_1m", "bars_1mm", f"bars_{'1' * 9000}m"],
)  # fmt: skip
def test_unknown_channels_say_what_is_allowed(channel: str) -> None:
    with pytest.raises(RequestError, match=r"allowed: bars_<minutes>m, trades, quotes"):
        parse_channel(channel)


@given(st.text(max_size=20))
def test_any_text_is_a_channel_or_refused(text: str) -> None:
    try:
        kind, interval = parse_channel(text)
    except RequestError:
        return
    assert channel_name(kind, interval) == text


def test_streams_stand_trades_quotes_then_bars_from_the_shortest() -> None:
    streams = [
        Stream("A", StreamType.BAR, 1440), Stream("A", StreamType.BAR, 1),
        Stream("A", StreamType.QUOTE), Stream("A", StreamType.BAR, 15),
        Stream("A", StreamType.TRADE),
    ]  # fmt: skip
    ordered = sorted(streams, key=lambda s: s.rank)
    assert [s.channel for s in ordered] == ["trades", "quotes", "bars_1m", "bars_15m", "bars_1440m"]
    assert len({s.code for s in streams}) == 5


def test_texts_are_numbered_by_first_appearance_from_any_thread() -> None:
    words = Dictionary()
    start = threading.Barrier(4)
    found: list[list[int]] = []

    def add() -> None:
        start.wait(10)
        found.append([words.add(str(n)) for n in range(300)])

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(words) == 300
    assert all(codes == found[0] for codes in found)
    assert words.look_up(np.array([*found[0], -1.0])) == [*map(str, range(300)), None]


def test_a_window_is_its_slices() -> None:
    items = make_items(1, [5, 5, 9], 0, [1.0, 2.0, 3.0])
    window = Window(1, 0, 40, np.array([5, 9]), np.array([0, 2, 3]), items)
    assert window.last_seq == 41
    assert [(s.time_ns, s.seq, len(s.items)) for s in window.slices()] == [(5, 40, 2), (9, 41, 1)]
    assert window.slice_of_rows().tolist() == [0, 0, 1]


def test_moving_records_as_bytes_keeps_them() -> None:
    items = make_items(1, [1, 2, 3], 4, [1.0, np.nan, 3.0])
    whole = join_items([items[:1], items[1:]])
    assert whole.tobytes() == items.tobytes()
    assert pick_items(items, np.array([True, False, True]))["release_ns"].tolist() == [1, 3]
    into = empty_items(3)
    copy_items(into, items)
    assert into.tobytes() == items.tobytes()
    assert len(join_items([])) == 0
    assert field_index(StreamType.QUOTE, "ask") == 2


def test_nearest_names() -> None:
    known = ["AAPL", "AIG", "BAC", "aig.l"]
    assert nearest("aig", known)[0] == "AIG"
    assert nearest("APPL", known)[0] == "AAPL"
    assert nearest("zzzzzz", known) == []


def test_a_state_error_carries_its_state() -> None:
    error = StateError("cannot pause", "STOPPED")
    assert error.state == "STOPPED"
    assert isinstance(error, TapedeckError)
