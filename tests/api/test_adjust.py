"""``adjust=split``: bars on the basis of now, and a prev_close that can be compared with today."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.catalog.layout import side_path
from tests.conftest import StartServer
from tests.core.harness import DAY1, DAY2, MINUTE, bar, open_ns, write

API = "/api/v1"


def write_split(root: Path, day: date, ratio: float) -> None:
    path = root / side_path("corporate_actions", "AAA")
    path.parent.mkdir(parents=True)
    table = pa.table(
        {
            "date": pa.array([day], pa.date32()),
            "type": ["split"],
            "ratio": [ratio],
            "amount": pa.array([None], pa.float64()),
        }
    )
    pq.write_table(table, path)


@pytest.fixture
def base(tmp_path: Path, server: StartServer) -> str:
    """700 on Friday, 100 on Monday: seven for one on the Monday."""
    root = tmp_path / "catalog"
    write(root, "bars_1m", "AAA", DAY1, [bar(open_ns(DAY1) + 389 * MINUTE, 700.0, 11)])
    write(root, "bars_1m", "AAA", DAY2, [bar(open_ns(DAY2), 100.0, 21)])
    write_split(root, DAY2, 7.0)
    return server(root) + API


def start(client: httpx.Client) -> None:
    wish = {
        "symbols": ["AAA"], "start": str(DAY1), "end": str(DAY2), "speed": 0, "start_paused": True,
        "history_days": 1,
    }  # fmt: skip
    client.post("/session", json=wish).raise_for_status()


def test_bars_as_recorded_and_as_of_now(base: str) -> None:
    with httpx.Client(base_url=base, timeout=60) as client:
        start(client)
        bars = "/session/data/AAA/bars"
        client.post("/session/step", json={"unit": "day", "count": 1}).raise_for_status()
        # On Friday nobody knows of Monday's split.
        friday = client.get(bars, params={"adjust": "split"}).json()["bars"]
        assert [(b["close"], b["volume"]) for b in friday] == [(700.25, 11)]
        client.post("/session/step", json={"unit": "slice", "count": 1}).raise_for_status()
        raw = client.get(bars).json()["bars"]
        assert [(b["open"], b["volume"]) for b in raw] == [(700.0, 11), (100.0, 21)]
        adjusted = client.get(bars, params={"adjust": "split"}).json()["bars"]
        assert [(b["open"], b["volume"]) for b in adjusted] == [(100.0, 77), (100.0, 21)]
        daily = client.get(bars, params={"adjust": "split", "interval": "1d"}).json()["bars"]
        assert [b["open"] for b in daily] == [100.0]
        refused = client.get(bars, params={"adjust": "dividend"})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == "query.adjust"


def test_prev_close_is_on_todays_basis(base: str) -> None:
    with httpx.Client(base_url=base, timeout=60) as client:
        start(client)
        client.post("/session/step", json={"unit": "slice", "count": 2}).raise_for_status()
        data = client.get("/session/data").json()["symbols"]["AAA"]
        assert data["prev_close"] == 700.25 / 7
