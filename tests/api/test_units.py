"""The parts that need no server: windows, holds, keys, frames, columns, messages."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from app.api.clients import Client, Pending
from app.api.columns import arrow_stream, item_rows, item_table, whole_sizes
from app.api.conflation import Conflation
from app.api.few import FEW_ROWS, encode_window, few_fields
from app.api.frames import CODECS, Channel, Run, Selection, Slices, encode_slices
from app.api.groups import Tuned
from app.api.holds import LOSSLESS_BACKLOG_ROWS, HoldGate
from app.api.idempotency import IdempotencyKeys
from app.api.messages import (
    RefusalError,
    Subscribe,
    Subscription,
    ViolationError,
    read_message,
    subscription_of,
)
from app.api.packing import pack_column
from app.api.rates import SPAN_S, Rates
from app.api.windows import Newest, Ring, join, pieces, run_of
from app.errors import RequestError
from app.model import (
    FIELDS,
    ITEM,
    QUOTE_CODE,
    TEXTS,
    TRADE_CODE,
    Block,
    Dictionary,
    Flag,
    Ints,
    Items,
    StreamType,
    Window,
    make_items,
    stream_code,
)
from app.times import MINUTE_NS
from tests.api.fake_manager import bar_window

BARS = Channel(StreamType.BAR, 1)
ALL = Selection((BARS,), None)


class TwoNames:
    """Names of two symbols, the first with whole sizes; bars of one minute."""

    words = Dictionary()

    def symbols_of(self, items: Items) -> list[str]:
        return ["AB"[i] for i in items["symbol"].tolist()]

    def symbol_of(self, number: int) -> str:
        return "AB"[number]

    def is_integral(self, kind: StreamType, number: int) -> bool:
        del kind
        return number == 0

    def starts_of(self, kind: StreamType, items: Items) -> Ints:
        release: Ints = items["release_ns"]
        return release - MINUTE_NS if kind is StreamType.BAR else release

    def integral_of(self, kind: StreamType, items: Items) -> NDArray[np.bool_]:
        del kind
        whole: NDArray[np.bool_] = items["symbol"] == 0
        return whole


# -- windows ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 100])
def test_pieces_are_whole_slices_in_order_and_join_again(rows: int) -> None:
    window = bar_window(5, 10)
    found = list(pieces(window, rows))
    assert all(len(p.items) <= max(rows, 2) for p in found)
    assert [s for p in found for s in range(p.first_seq, p.last_seq + 1)] == list(range(5, 15))
    again = join(found)
    assert again.items.tobytes() == window.items.tobytes()
    assert again.bounds.tolist() == window.bounds.tolist()
    assert (again.first_seq, again.times_ns.tolist()) == (5, window.times_ns.tolist())


def test_a_part_of_a_window_copies_nothing_and_knows_its_place_in_the_block() -> None:
    whole = bar_window(1, 10)
    block = Block(whole.times_ns, whole.bounds, whole.items)
    window = whole._replace(block=block)
    part = window.part(2, 9).part(1, 3)
    assert block.times_ns[part.at : part.at + 2].tolist() == part.times_ns.tolist()
    low, high = block.bounds[[part.at, part.at + 2]].tolist()
    assert block.items[low:high].tobytes() == part.items.tobytes()
    part = window.part(3, 5)
    assert (part.first_seq, part.last_seq, len(part.items)) == (4, 5, 4)
    assert np.shares_memory(part.items, window.items)


def test_ring_holds_the_newest_rows_and_says_from_where() -> None:
    ring = Ring(20)
    ring.reset(1)
    for first in range(1, 31, 5):
        ring.append(bar_window(first, 5))
    assert (ring.from_seq, ring.last_seq) == (20, 30)
    assert [w.first_seq for w in ring.after(22)] == [23, 26]
    assert sum(len(w.items) for w in ring.after(20)) == 20
    assert ring.after(30) == []


def test_ring_without_room_holds_nothing() -> None:
    ring = Ring(0)
    ring.append(bar_window(1, 5))
    assert (ring.from_seq, ring.last_seq, ring.after(5)) == (5, 5, [])


def test_ring_begins_anew_with_an_epoch() -> None:
    ring = Ring(100)
    ring.append(bar_window(1, 5))
    ring.append(bar_window(1, 3, epoch=2))
    assert (ring.epoch, ring.from_seq, ring.last_seq) == (2, 0, 3)


def test_newest_keeps_one_row_a_symbol() -> None:
    newest = Newest(2)
    newest.update(bar_window(1, 7))
    newest.update(bar_window(8, 2, symbols=1))  # only the first symbol goes on
    run = newest.since(0, ALL)
    assert run is not None
    assert run.seqs.tolist() == [7, 9]
    assert run.items["symbol"].tolist() == [1, 0]
    assert run.slice_no.tolist() == [0, 1]
    assert newest.since(9, ALL) is None
    only = newest.since(0, Selection((BARS,), np.array([False, True])))
    assert only is not None
    assert only.seqs.tolist() == [7]


class OneClient:
    """Always idle; keeps what it is sent."""

    is_idle = True

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def push(self, pending: Any) -> None:
        self.sent.append(pending)


def test_a_large_window_is_conflated_in_pieces_and_told_of_once() -> None:
    window = bar_window(1, 40_000)  # of 2 rows each
    runs: list[Run] = []

    async def conflate() -> int:
        client: Any = OneClient()

        def encode(_: Client, run: Run) -> Slices | None:
            runs.append(run)
            return None

        conflation = Conflation(encode)
        conflation.open(2)
        conflation.add(
            client, Tuned(Subscription((BARS,), False, None, False, 0.0), CODECS["json"])
        )
        pauses = 0
        for _ in conflation.update(window):
            pauses += 1
            assert runs == []  # answers come between, frames do not
        return pauses

    assert asyncio.run(conflate()) == 2
    assert [run.seqs.tolist() for run in runs] == [[40_000]]
    assert runs[0].items["symbol"].tolist() == [0, 1]


# -- holds -----------------------------------------------------------------------------------


class Clock:
    """Wall seconds that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def held_gate(patience_s: float = 1.0) -> tuple[HoldGate, Clock, list[object]]:
    clock = Clock()
    cut_off: list[object] = []
    return HoldGate(patience_s, cut_off.append, clock), clock, cut_off


def test_full_client_holds_until_its_patience_is_used_up() -> None:
    gate, clock, cut_off = held_gate()
    assert gate.holding() is None
    gate.set_full("slow", True)
    asked = 0
    while (wait_s := gate.holding()) is not None:
        assert not cut_off
        clock.now_s += wait_s
        asked += 1
    assert (cut_off, asked) == (["slow"], 4)
    assert clock.now_s == pytest.approx(1001.0)
    assert not gate.is_held


def test_holds_are_summed_over_a_sliding_minute() -> None:
    gate, clock, cut_off = held_gate()
    for _ in range(3):
        gate.set_full("slow", True)
        assert gate.holding() == 0.25
        clock.now_s += 0.25
        gate.set_full("slow", False)
        assert gate.holding() is None
        clock.now_s += 1
    clock.now_s += 61  # all of it is forgotten
    gate.set_full("slow", True)
    for _ in range(4):
        assert gate.holding() is not None
        clock.now_s += 0.25
    assert cut_off == []
    assert gate.holding() is None
    assert cut_off == ["slow"]


def test_a_pause_while_held_costs_a_client_nothing() -> None:
    gate, clock, cut_off = held_gate()
    gate.set_full("slow", True)
    assert gate.holding() is not None
    clock.now_s += 3600  # nobody asked meanwhile: the replay was paused
    assert gate.holding() is not None
    assert cut_off == []


def test_only_the_slow_one_is_cut_off() -> None:
    gate, clock, cut_off = held_gate()
    gate.set_full("slow", True)
    for _ in range(3):
        assert gate.holding() is not None
        clock.now_s += 0.25
    gate.set_full("later", True)
    assert gate.holding() is not None
    clock.now_s += 0.25
    assert gate.holding() is not None
    assert cut_off == ["slow"]
    gate.forget("later")
    assert gate.holding() is None


def test_backlog_of_the_loop_holds_without_blame() -> None:
    gate, clock, cut_off = held_gate()
    gate.lossless = 1
    gate.add_backlog(LOSSLESS_BACKLOG_ROWS + 1)
    for _ in range(20):
        assert gate.holding() is not None
        clock.now_s += 1
    gate.add_backlog(-1)
    assert gate.holding() is None
    assert cut_off == []


# -- idempotency -----------------------------------------------------------------------------


def test_keys_are_bounded_and_never_forget_work_under_way() -> None:
    async def play() -> tuple[int, bool]:
        loop = asyncio.get_running_loop()
        keys: IdempotencyKeys[int] = IdempotencyKeys(most=3)
        going: asyncio.Future[int] = loop.create_future()
        keys.keep("going", b"x", going)
        for number in range(10):
            done: asyncio.Future[int] = loop.create_future()
            done.set_result(number)
            keys.keep(f"k{number}", b"x", done)
        return len(keys), keys.find("going", b"x") is going

    assert asyncio.run(play()) == (3, True)


def test_key_of_another_request_and_bad_keys_are_refused() -> None:
    async def play() -> None:
        keys: IdempotencyKeys[int] = IdempotencyKeys()
        keys.keep("k", b"x", asyncio.get_running_loop().create_future())
        with pytest.raises(RequestError, match="another request"):
            keys.find("k", b"y")
        for bad in ("", "é", "a" * 256, "a\x00"):
            with pytest.raises(RequestError, match="printable ASCII"):
                keys.find(bad, b"x")
        keys.clear()
        assert keys.find("k", b"y") is None

    asyncio.run(play())


def test_refused_work_is_forgotten() -> None:
    keys: IdempotencyKeys[int] = IdempotencyKeys()

    async def play() -> None:
        work: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        keys.keep("k", b"x", work)
        assert keys.find("k", b"x") is work
        work.set_exception(RequestError("no"))
        await asyncio.wait({work})

    asyncio.run(play())
    assert keys.find("k", b"x") is None


# -- frames and columns ------------------------------------------------------------------------


def test_frames_are_the_same_in_json_and_msgpack_but_for_times() -> None:
    run = run_of(bar_window(42, 3))
    plain = {}
    for name, codec in CODECS.items():
        slices = encode_slices(codec, TwoNames(), run, ALL)
        assert slices is not None
        data = slices.frame(codec, 41)
        plain[name] = orjson.loads(data) if name == "json" else msgspec.msgpack.decode(data)
    text, binary = plain["json"], plain["msgpack"]
    assert text["times"][0] == "2013-10-07T14:12:00Z"
    assert binary["times"][0] == run.times_ns[0]
    assert text["bars_1m"]["ts"][0] == "2013-10-07T14:11:00Z"
    for frame in (text, binary):
        del frame["times"], frame["bars_1m"]["ts"]
    assert text == binary
    assert (text["type"], text["epoch"], text["prev_seq"]) == ("slices", 1, 41)
    assert text["seqs"] == [42, 43, 44]
    assert text["bars_1m"]["slice"] == [0, 0, 1, 1, 2, 2]
    assert text["bars_1m"]["vwap"] == [None] * 6
    assert [type(v) for v in text["bars_1m"]["volume"][:2]] == [int, float]
    assert list(text["bars_1m"])[:3] == ["slice", "symbol", "open"]


_WIDE = st.integers(-(2**63), 2**63 - 1) | st.sampled_from(
    [s * 2**n + d for s in (1, -1) for n in (7, 8, 15, 16, 31, 32, 62) for d in (-1, 0, 1)]
)


@given(
    st.lists(_WIDE, max_size=40).map(lambda values: np.array(values, np.int64))
    | st.lists(st.integers(0, 2**64 - 1), max_size=40).map(lambda v: np.array(v, np.uint64))
    | st.lists(st.floats(), max_size=40).map(lambda values: np.array(values, np.float64))
    | st.lists(st.booleans(), max_size=40).map(lambda values: np.array(values, np.bool_))
)
def test_a_packed_column_has_its_values(column: NDArray[Any]) -> None:
    values = [None if value != value else value for value in column.tolist()]
    found = msgspec.msgpack.decode(pack_column(column))
    assert list(map(repr, found)) == list(map(repr, values))


def test_long_columns_and_missing_numbers_are_packed() -> None:
    for column in (
        np.arange(70_000),
        np.full(20, np.nan),
        np.where(np.arange(20) % 3, 1.5, np.nan),
    ):
        values = [None if value != value else value for value in column.tolist()]
        assert msgspec.msgpack.decode(pack_column(column)) == values


CHANNELS = (BARS, Channel(StreamType.TRADE, 0), Channel(StreamType.QUOTE, 0))


@st.composite
def few_rows(draw: st.DrawFn) -> Items:
    """The rows of one slice: any kinds, values and flags; words are of a dictionary of three."""
    number = st.integers(0, 10**12).map(float) | st.floats(0, 1e15) | st.just(np.nan)
    rows = draw(st.integers(1, 2 * FEW_ROWS))
    items = np.zeros(rows, ITEM)
    items["release_ns"] = 1_381_152_720_000_000_001
    for row in items:
        row["symbol"], row["flags"] = draw(st.integers(0, 1)), draw(st.integers(0, 2**10 - 1))
        kind, minutes = draw(st.sampled_from(CHANNELS))
        row["stream"] = stream_code(kind, minutes)
        for place, name in enumerate(FIELDS[kind]):
            word = name in TEXTS or name == "minutes"
            row["v"][place] = draw(st.integers(-1, 2)) if word else draw(number)
    return items


@given(few_rows(), st.booleans(), st.sampled_from(sorted(CODECS)))
def test_few_rows_are_written_as_many_are(items: Items, all_symbols: bool, encoding: str) -> None:
    names, codec = TwoNames(), CODECS[encoding]
    names.words = Dictionary()
    for word in ("N", "@", "OX"):
        names.words.add(word)
    items = items[np.argsort([CHANNELS.index(one) for one in map(channel_of, items)])]
    selection = Selection(CHANNELS, None if all_symbols else np.array([True, False]))
    times = items["release_ns"][:1]
    window = Window(3, 0, 7, times, np.array([0, len(items)]), items)
    slow = encode_slices(codec, names, run_of(window), selection)
    fields = few_fields(codec, names, 7, int(times[0]), items, selection)
    if slow is None or fields is None:
        assert (slow, fields) == (None, None)
        return
    quick = Slices(3, 7, len(fields), codec.plain_tail(fields))
    assert quick.frame(codec, 6) == slow.frame(codec, 6)
    assert encode_window(codec, names, window, selection) == slow


def channel_of(item: Any) -> Channel:
    return next(one for one in CHANNELS if one.code == item["stream"])


def test_slices_without_a_row_are_left_out() -> None:
    run = run_of(join([bar_window(1, 2), bar_window(3, 2, symbols=1)]))
    slices = encode_slices(
        CODECS["json"], TwoNames(), run, Selection((BARS,), np.array([False, True]))
    )
    assert slices is not None
    frame = orjson.loads(slices.frame(CODECS["json"], 0))
    assert (frame["seqs"], frame["bars_1m"]["slice"]) == ([1, 2], [0, 1])
    trades = Selection((Channel(StreamType.TRADE, 0),), None)
    assert encode_slices(CODECS["json"], TwoNames(), run, trades) is None


def test_sizes_are_whole_where_the_source_is() -> None:
    sizes = np.array([1.0, np.nan, 3.0])
    assert whole_sizes(sizes, True) == [1, None, 3]
    assert whole_sizes(sizes, False) is sizes
    assert whole_sizes(np.array([1.0, 2.5]), np.array([True, False])) == [1, 2.5]
    whole = whole_sizes(np.array([1.0, 2.0]), True)
    assert isinstance(whole, np.ndarray)
    assert whole.dtype == np.int64


def test_ticks_as_rows_and_as_arrow() -> None:
    words = Dictionary()
    words.add("N")
    nan = np.nan
    quotes = make_items(QUOTE_CODE, [10**9, 2 * 10**9], 0, [nan, 1.5], [nan, 2], [3, 3], [4, 4],
                        [0, -1], [-1, 0])  # fmt: skip
    starts = quotes["release_ns"].copy()
    rows = item_rows(StreamType.QUOTE, quotes, starts, words, True)
    assert orjson.loads(orjson.dumps(rows)) == [
        {"ts": "1970-01-01T00:00:01Z", "bid": None, "bid_size": None, "ask": 3.0, "ask_size": 4},
        {"ts": "1970-01-01T00:00:02Z", "bid": 1.5, "bid_size": 2, "ask": 3.0, "ask_size": 4},
    ]
    data = arrow_stream(item_table(StreamType.QUOTE, quotes, starts, words, True), {"symbol": "A"})
    table = pa.ipc.open_stream(data).read_all()
    assert table.schema.field("ts").type == pa.timestamp("ns", "UTC")
    assert table.schema.field("bid_size").type == pa.int64()
    assert table.schema.metadata == {b"symbol": b"A"}
    assert table["bid"].to_pylist() == [None, 1.5]
    assert table["bid_size"].to_pylist() == [None, 2]
    assert table["exchange"].to_pylist() == ["N", None]

    trades = make_items(TRADE_CODE, [5], Flag.SUSPICIOUS, [1.25], [0.5], [0], [-1])
    table = item_table(StreamType.TRADE, trades, trades["release_ns"].copy(), words, False)
    assert table.column_names == ["ts", "price", "size", "exchange", "conditions", "suspicious"]
    assert table.to_pylist()[0]["size"] == 0.5
    assert table.to_pylist()[0]["suspicious"] is True


def test_rates_forget_after_their_span(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("app.api.rates.time.perf_counter", clock)
    registry = CollectorRegistry()
    rates = Rates(registry)
    rates.end(5, 1)  # before any question: counted, not timed
    rates.begin()
    clock.now_s += 0.5
    rates.end(95, 10)
    assert rates.items_per_second() == 100 / SPAN_S
    clock.now_s += SPAN_S
    assert (rates.items_per_second(), rates.items_total, rates.slices_total) == (0, 100, 11)
    assert registry.get_sample_value("tapedeck_window_seconds_sum") == 0.5
    assert registry.get_sample_value("tapedeck_slice_seconds_sum") == pytest.approx(0.05)


# -- messages ----------------------------------------------------------------------------------


def test_equal_wishes_are_equal() -> None:
    one = read_message('{"action":"subscribe","channels":["trades","bars_1m"]}', "json")
    two = read_message(
        b"\x82\xa6action\xa9subscribe\xa8channels\x92\xa7bars_1m\xa6trades", "msgpack"
    )
    assert isinstance(one, Subscribe)
    assert isinstance(two, Subscribe)
    assert subscription_of(one) == subscription_of(two)
    assert [c.name for c in subscription_of(one).channels] == ["trades", "bars_1m"]


@pytest.mark.parametrize(
    ("data", "code", "close"),
    [
        ("nonsense", "malformed", 1003),
        ("[1]", "malformed", 1008),
        ('{"action":"dance"}', "unknown_action", 1008),
        ('{"action":"subscribe"}', "malformed", 1008),
        ('{"action":"subscribe","channels":[]}', "malformed", 1008),
        ('{"action":"subscribe","channels":["bars_0m"]}', "malformed", 1008),
        ('{"action":"subscribe","channels":["trades"],"symbol":"A"}', "malformed", 1008),
        ('{"action":"subscribe","channels":["trades"],"interval_ms":"9"}', "malformed", 1008),
        ('{"action":"resume","epoch":1,"after":-1}', "malformed", 1008),
        ('{"action":"subscribe","channels":["trades"],"interval_ms":NaN}', "malformed", 1003),
        (b"\x00\xff", "binary", 1003),
    ],
)
def test_garbage_is_refused_with_a_reason(data: str | bytes, code: str, close: int) -> None:
    with pytest.raises(ViolationError) as caught:
        read_message(data, "json")
    assert (caught.value.code, caught.value.close) == (code, close)
    assert str(caught.value)


def test_wishes_that_do_not_fit_together_are_refused() -> None:
    for more in ({"symbols": ["*", "A"]}, {"interval_ms": 50}):
        message = Subscribe.model_validate({"action": "subscribe", "channels": ["trades"], **more})
        with pytest.raises(ViolationError):
            subscription_of(message)
    assert RefusalError("x", "y", oldest=1).extra == {"oldest": 1}


def test_slices_that_wait_can_be_dropped() -> None:
    async def use() -> tuple[list[bytes], bool]:
        client = Client(CODECS["json"], 1000, lambda *_: None, lambda *_: None)
        client.push(Pending(bar_window(1, 1)))
        client.drop_slices()
        idle = client.is_idle
        client.push(Pending(bar_window(1, 1)))
        client.say(b"status")
        client.drop_slices()
        return [await client.next_frame()], idle and not client.is_idle

    assert asyncio.run(use()) == ([b"status"], True)
