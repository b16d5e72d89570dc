"""``tapedeck init``: what it writes runs as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli.starter import ENV, RUN, STRATEGY, Market, env_text, run_text
from app.trading.config import parse_backtest_config
from settings import load_settings
from tests.cli.conftest import Run
from tests.client.small_catalog import DAYS


def test_a_synthetic_start_runs_and_is_verified(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run("init", "demo", "--synthetic")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == "Now: cd demo && tapedeck backtest run.yaml"
    monkeypatch.chdir(tmp_path / "demo")
    found = json.loads(run("backtest", "run.yaml", "--json").stdout)
    assert found["outcome"] == "completed"
    assert found["statistics"]["fills"] > 0
    assert run("verify", found["run_id"]).exit_code == 0
    assert run("doctor", "--json").exit_code == 0  # the catalog of .env


def test_it_takes_days_and_symbols_of_the_catalog_of_the_settings(
    run: Run, small_catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_CATALOG_URI", str(small_catalog))
    assert run("init").exit_code == 0
    monkeypatch.delenv("DATA_CATALOG_URI")
    checked = json.loads(run("backtest", RUN, "--check", "--json").stdout)
    assert checked["ok"], checked
    assert f"{DAYS[0]} to {DAYS[1]}" in checked["summary"][0]
    assert checked["summary"][1].startswith("2 symbols")


def test_nothing_is_overwritten(run: Run, tmp_path: Path) -> None:
    (tmp_path / STRATEGY).write_text("mine")
    done = run("init", "--synthetic")
    assert (done.exit_code, STRATEGY in done.stderr) == (2, True)
    assert [p.name for p in tmp_path.iterdir()] == [STRATEGY]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "--synthetic"),
        (["--catalog", "empty"], 1, "tapedeck import"),
        (["--catalog", "absent"], 1, "absent"),
    ],
)
def test_what_it_cannot_do_it_says(
    run: Run, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    (tmp_path / "empty").mkdir()
    done = run("init", "demo", *arguments)
    assert (done.exit_code, done.stderr.count("\n")) == (code, 1), done.output
    assert said in done.stderr
    assert not (tmp_path / "demo").exists()


def test_a_folder_that_cannot_be_written_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("init", tmp_path / "file" / "demo", "--synthetic")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "cannot be written" in done.stderr


def test_a_catalog_of_another_exchange_says_so(
    run: Run, small_catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSION_CALENDAR", "XHKG")
    done = run("init", "demo", "--catalog", small_catalog)
    assert (done.exit_code, "SESSION_CALENDAR" in done.stderr) == (1, True)


@pytest.mark.parametrize("symbol", ["ON", "BRK/B", "1e3", "TRUE", "9988.HK", "it's"])
def test_symbols_stay_text(symbol: str) -> None:
    market = Market([symbol], "2013-10-07", "2013-10-08", "XNYS")
    assert list(parse_backtest_config(run_text(market), RUN).data.symbols) == [symbol]


@pytest.mark.parametrize("uri", ["data/catalog", "/a b/it's", "s3://bucket/a?region=x", "C:\\d"])
def test_settings_read_back_as_they_were_written(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATA_CATALOG_URI", raising=False)
    (tmp_path / ENV).write_text(env_text(uri), "utf-8")
    assert load_settings(tmp_path / ENV).data_catalog_uri == uri
