"""What the manager's side puts into a run's record."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import CatalogError, RunError
from app.managers.system_manager import recording
from app.managers.system_manager.backtest import BacktestEngine, BacktestResult
from app.managers.system_manager.beginning import run_spec
from app.runs.manifest import RunState
from app.runs.store import RunStore
from app.trading.config import parse_backtest_config
from settings import Settings
from tests.runs.jobs import settings_for, write_catalog


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    work = tmp_path_factory.mktemp("recording")
    return settings_for(write_catalog(work / "catalog"), work)


def engine_of(settings: Settings, name: str) -> BacktestEngine:
    assert settings.tapedeck_configs_dir is not None
    return BacktestEngine.from_config(
        settings.tapedeck_configs_dir / f"{name}.yaml", settings=settings
    )


@pytest.fixture(scope="module")
def stopped(settings: Settings) -> BacktestResult:
    """Of 66 days it saw the first few, and holds a position that grew minute by minute."""
    engine = engine_of(settings, "slow")
    result = engine.run(lambda progress: engine.stop() if progress.days_done else None)
    assert result.outcome == "stopped"
    return result


def test_coverage_of_a_stopped_run_is_of_what_it_came_to(stopped: BacktestResult) -> None:
    assert stopped.summary["coverage"] == {"AIG": 100.0}


def test_open_positions_are_worth_what_they_were_when_it_stopped(stopped: BacktestResult) -> None:
    """Prices of the days after it would leave a rest that belongs to no symbol."""
    (row,) = stopped.summary["pnl_by_symbol"]
    assert row["pnl"] == pytest.approx(stopped.summary["statistics"]["pnl"], abs=1e-6)


def test_the_report_names_its_digests(stopped: BacktestResult) -> None:
    assert stopped.folder is not None
    page = (stopped.folder / "report.html").read_text("utf-8")
    for name, digest in (
        ("Items digest", stopped.digest), ("Events digest", stopped.events_digest),
    ):  # fmt: skip
        assert name in page
        assert str(digest) in page


def test_keys_of_a_catalog_are_in_no_file(tmp_path: Path) -> None:
    config = parse_backtest_config(
        "backtest: {name: once, start: 2013-10-07, end: 2013-10-08}\n"
        "data:\n  symbols: [AIG]\n"
        "  catalog: s3://key:s3cret@bucket/x?region=eu&token=t0ken\n"
        "strategies: [{id: once, file: once.py}]\n"
    )
    (tmp_path / "once.py").write_text("")
    run = RunStore(tmp_path / "runs").create(run_spec(config, tmp_path))
    assert run.manifest.config["data"]["catalog"] == "s3://***@bucket/x?region=eu&token=***"
    text = (run.path / "config.yaml").read_text() + (run.path / "manifest.json").read_text()
    assert "s3cret" not in text
    assert "t0ken" not in text
    assert parse_backtest_config((run.path / "config.yaml").read_text()).data.symbols == ["AIG"]
    run.release()


@pytest.mark.parametrize("error", [RunError("the disk is full"), CatalogError("it is gone")])
def test_a_record_that_cannot_begin_fails_its_run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(recording, "AuditWriter", fail)
    with pytest.raises(type(error), match=str(error)):
        engine_of(settings, "once").run()
    found = RunStore(settings.tapedeck_runs_dir).list(limit=1)[0]
    assert found.state is RunState.FAILED
    assert found.cause == f"{type(error).__name__}: {error}"
