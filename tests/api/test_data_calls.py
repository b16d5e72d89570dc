"""Polled data, in JSON and Arrow, against what the small catalog is known to hold."""

from __future__ import annotations

import httpx
import pyarrow as pa
import pytest

from app.api import schemas_data
from app.api.documents import ARROW as MEDIA
from app.times import MINUTE_NS, format_time
from tests.api.conftest import Fake, start
from tests.api.small_catalog import OPENS_NS
from tests.api.test_requests import check

ARROW = {"Accept": "application/vnd.apache.arrow.stream"}
BAR = (
    "ts", "open", "high", "low", "close", "volume", "vwap", "minutes", "complete", "partial",
    "post_close",
)  # fmt: skip


def minute(number: int, day: int = 0) -> str:
    return format_time(OPENS_NS[day] + number * MINUTE_NS)


def table_of(answer: httpx.Response) -> pa.Table:
    assert answer.headers["content-type"] == ARROW["Accept"]
    return pa.ipc.open_stream(answer.content).read_all()


@pytest.fixture
def paused(real: httpx.Client) -> httpx.Client:
    """Ten seconds into the first day: 21 slices of ticks."""
    start(real, start_paused=True)
    real.post("/session/step", json={"unit": "slice", "count": 21})
    return real


def test_view_of_all_symbols(paused: httpx.Client) -> None:
    body = paused.get("/session/data").json()
    schemas_data.Data.model_validate(body)
    assert (body["time"], body["epoch"], body["seq"]) == ("2013-10-07T13:30:10Z", 1, 21)
    assert body["trading_day"] == "2013-10-07"
    assert list(body["symbols"]) == ["AIG", "BAC", "BRK/B"]
    aig = body["symbols"]["AIG"]
    assert aig["trade"] == {
        "ts": "2013-10-07T13:30:10Z", "price": 10.02, "size": 7, "exchange": "N", "conditions": "",
    }  # fmt: skip
    assert aig["quote"] == {
        "ts": "2013-10-07T13:30:10Z", "bid": 9.92, "bid_size": 20, "ask": 10.12, "ask_size": 22,
    }  # fmt: skip
    assert aig["last"] == 10.02
    assert body["symbols"]["BAC"]["last"] is None
    chosen = paused.get("/session/data", params={"symbols": "BRK/B,AIG,BRK/B"}).json()
    assert list(chosen["symbols"]) == ["BRK/B", "AIG"]
    assert paused.get("/session/data?symbols=*").json() == body


def test_unknown_names_are_404_with_the_nearest(paused: httpx.Client) -> None:
    check(paused.get("/session/data?symbols=AIG,BACC"), 404, "BACC", "BAC")
    check(paused.get("/session/data/aig/bars"), 404, "aig", "AIG")
    check(paused.get("/session/data/AIG/bars?interval=7m"), 404, "bars_7m", "bars_5m")
    check(paused.get("/session/data/BAC/trades"), 404, "trades")
    check(paused.get("/session/data/NOPE/quality"), 404, "NOPE")
    check(paused.get("/session/data//bars"), 404)


def test_bars_of_a_symbol_with_a_slash(played: httpx.Client) -> None:
    for path in ("BRK%2FB", "BRK/B"):
        answer = played.get(f"/session/data/{path}/bars", params={"limit": 2})
        body = answer.json()
        schemas_data.Bars.model_validate(body)
        assert list(body) == ["symbol", "interval", "time", "bars"]
        assert (body["symbol"], body["interval"]) == ("BRK/B", "1m")
        assert [bar["ts"] for bar in body["bars"]] == [minute(388, 1), minute(389, 1)]
        assert tuple(body["bars"][0]) == BAR
        assert answer.headers["tapedeck-time"] == body["time"]
        assert int(answer.headers["tapedeck-seq"]) > 0
    last = body["bars"][-1]
    assert (last["close"], last["volume"], last["vwap"]) == (33.89, 489, 33.89)
    assert isinstance(last["volume"], int)
    assert body["bars"][0]["vwap"] is None
    assert (last["complete"], last["partial"], last["post_close"]) == (True, False, False)


def test_bars_by_limit_since_day_and_interval(played: httpx.Client) -> None:
    def starts(**params: object) -> list[str]:
        bars = played.get("/session/data/AIG/bars", params=params).json()["bars"]  # type: ignore[arg-type]
        return [bar["ts"] for bar in bars]

    assert len(starts()) == 390
    assert len(starts(limit=10_000)) == 780
    assert starts(since=minute(387, 1)) == [minute(388, 1), minute(389, 1)]
    assert starts(day="2013-10-07", limit=1) == [minute(389)]
    assert starts(day="2013-10-09") == []
    assert starts(interval="5m", limit=1) == [minute(385, 1)]
    assert starts(interval="15m", day="2013-10-08")[:2] == [minute(0, 1), minute(15, 1)]
    assert starts(interval="1d") == [minute(0), minute(0, 1)]


def test_ticks_of_the_current_day(paused: httpx.Client) -> None:
    trades = paused.get("/session/data/AIG/trades", params={"limit": 2}).json()
    schemas_data.Trades.model_validate(trades)
    assert list(trades) == ["symbol", "time", "trades"]
    assert [t["price"] for t in trades["trades"]] == [10.019, 10.02]
    assert list(trades["trades"][0]) == ["ts", "price", "size", "exchange", "conditions"]
    quotes = paused.get("/session/data/AIG/quotes").json()
    schemas_data.Quotes.model_validate(quotes)
    assert len(quotes["quotes"]) == 21
    assert quotes["quotes"][0] == {
        "ts": minute(0), "bid": None, "bid_size": None, "ask": 10.1, "ask_size": 2,
    }  # fmt: skip
    since = paused.get("/session/data/AIG/trades", params={"since": "2013-10-07T13:30:09.5Z"})
    assert [t["ts"] for t in since.json()["trades"]] == ["2013-10-07T13:30:10Z"]


def test_arrow_has_the_catalogs_columns(paused: httpx.Client) -> None:
    answer = paused.get("/session/data/AIG/trades", headers=ARROW)
    table = table_of(answer)
    assert table.column_names == ["ts", "price", "size", "exchange", "conditions", "suspicious"]
    assert table.schema.field("ts").type == pa.timestamp("ns", "UTC")
    assert table.schema.field("size").type == pa.int64()
    assert table["exchange"].to_pylist()[:3] == ["N", "P", None]
    assert table["suspicious"].to_pylist()[:2] == [True, False]
    assert table.schema.metadata[b"tapedeck-seq"] == b"21"
    quotes = table_of(paused.get("/session/data/AIG/quotes", headers=ARROW))
    assert quotes.column_names == [
        "ts", "bid", "bid_size", "ask", "ask_size", "exchange", "side",
    ]  # fmt: skip
    assert quotes["bid"].null_count == quotes["bid_size"].null_count == 1
    bars = table_of(paused.get("/session/data/AIG/bars", headers=ARROW))
    assert bars.num_rows == 0
    assert bars.schema.field("volume").type == pa.int64()
    weak = paused.get("/session/data/AIG/bars", headers={"Accept": ARROW["Accept"] + ";q=0"})
    assert weak.headers["content-type"] == "application/json"


def test_arrow_and_json_tell_the_same(played: httpx.Client) -> None:
    params = {"limit": 5000}
    json = played.get("/session/data/AIG/bars", params=params).json()["bars"]
    table = table_of(played.get("/session/data/AIG/bars", params=params, headers=ARROW))
    assert table.num_rows == len(json) == 780
    rows = table.to_pydict()
    for name in BAR[1:]:
        assert rows[name] == [bar[name] for bar in json], name


def test_quality_and_catalog(played: httpx.Client) -> None:
    quality = played.get("/session/data/AIG/quality").json()
    schemas_data.Quality.model_validate(quality)
    assert (quality["day"], quality["quality"], quality["gaps"]) == ("2013-10-08", 100.0, [])
    catalog = played.get("/catalog").json()
    schemas_data.Catalog.model_validate(catalog)
    assert catalog["symbols"]["BRK/B"] == {
        "bars_1m": {
            "first": minute(0), "last": minute(389, 1), "days": 2, "rows": 780,
        }
    }  # fmt: skip


def test_reads_never_show_what_comes_later(real: httpx.Client) -> None:
    start(real, speed=3600, start_paused=False)
    seq = 0
    for _ in range(20):
        answer = real.get("/session/data/AIG/bars", params={"after": seq, "wait_s": 2})
        seq = int(answer.headers["tapedeck-seq"])
        body = answer.json()
        if body["bars"]:
            assert body["bars"][-1]["ts"] < body["time"]
    assert seq > 0


def test_prices_and_bars_are_null_before_the_first(real: httpx.Client) -> None:
    start(real, start_paused=True, history_days=0)
    aig = real.get("/session/data?symbols=AIG").json()["symbols"]["AIG"]
    assert {aig[name] for name in ("open", "high", "low", "volume", "bars")} == {None}


@pytest.mark.parametrize(
    ("accept", "is_arrow"),
    [
        (MEDIA, True),
        (f"{MEDIA}, application/json", True),
        (f"{MEDIA};q=0.5, application/json;q=0.4", True),
        (f"{MEDIA};q=0.5, application/json", False),
        (f"{MEDIA};q=0.5, */*;q=0.9", False),
        (f"application/json;q=0.9, {MEDIA}; q=0.8", False),
        (f"{MEDIA};q=0", False),
        (f"{MEDIA};q=x", False),
        ("*/*", False),
    ],
)
def test_arrow_where_it_is_liked_no_less_than_json(fake: Fake, accept: str, is_arrow: bool) -> None:
    fake.start()
    answer = fake.http.get("/session/data/A/trades", headers={"Accept": accept})
    assert (answer.headers["content-type"] == MEDIA) == is_arrow
