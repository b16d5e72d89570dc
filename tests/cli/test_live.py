"""``tapedeck live`` against a server."""

from __future__ import annotations

import json
from pathlib import Path

from app.trading.config import config_schema
from tests.cli.conftest import Run
from tests.conftest import StartServer

STRATEGY = """
from app.trading.strategy import Strategy

class Twice(Strategy):
    def on_start(self, ctx):
        ctx.schedule("open+5m", "in")
        ctx.schedule("close-5m", "out")

    def on_timer(self, ctx, name):
        for symbol in ctx.symbols:
            ctx.signal(symbol, 1 if name == "in" else 0)
            if name == "out":
                ctx.order(symbol, "sell", 1e6, stop=1.0)
"""


def write_run(folder: Path) -> Path:
    (folder / "twice.py").write_text(STRATEGY, "utf-8")
    path = folder / "run.yaml"
    wish = {
        "backtest": {"name": "twice", "start": "2013-10-07", "end": "2013-10-08"},
        "data": {"symbols": ["AIG"]},
        "strategies": [{"id": "twice", "file": "twice.py"}],
    }
    assert set(wish) <= set(config_schema()["properties"])
    path.write_text(json.dumps(wish), "utf-8")
    return path


def test_it_prints_what_happens(
    run: Run, tmp_path: Path, server: StartServer, small_catalog: Path
) -> None:
    path, url = write_run(tmp_path), server(small_catalog)
    done = run("live", path, "--url", url, "--start", "--speed", 0)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "2013-10-07T13:35:00Z  signal          twice-s1 AIG long"
    assert lines[1].startswith("2013-10-07T13:35:00Z  order_approved  twice-s1 buy ")
    assert lines[1].endswith(" AIG market")
    assert " fill            twice-s1 buy " in lines[2]
    assert any(" order_rejected  twice-1 AIG " in line for line in lines)
    assert any(line.startswith("report ") for line in lines)
    assert run("runs", "list").stdout.count("completed") == 1


def test_json_is_an_object_a_line(
    run: Run, tmp_path: Path, server: StartServer, small_catalog: Path
) -> None:
    path, url = write_run(tmp_path), server(small_catalog)
    done = run("live", path, "--url", url, "--start", "--speed", 0, "--json", "--no-record")
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["type"] for row in rows[:-1]} >= {"signal", "order_approved", "fill"}
    assert (rows[-1]["outcome"], rows[-1]["folder"]) == ("completed", None)
    assert not (tmp_path / "runs").exists()


def test_what_cannot_be_is_one_line(
    run: Run, tmp_path: Path, server: StartServer, small_catalog: Path
) -> None:
    path, url = write_run(tmp_path), server(small_catalog)
    done = run("live", path, "--url", url)
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "no session" in done.stderr
    done = run("live", path, "--url", "http://127.0.0.1:1")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    done = run("live", path, "--url", "ftp://x")
    assert done.exit_code == 2
