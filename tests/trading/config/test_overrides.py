"""``--set key.path=value``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.trading.config import BacktestConfig, load_backtest_config
from tests.trading.config.conftest import Refusal, text_of

TEXT = text_of(
    "  - {id: pair, file: pair.py}",
    "risk: {sizing: {value: 0.2}}",
    "portfolio:",
    "  initial_cash: much",
    l4="  - {id: sma, file: sma.py, params: {fast: 10}}",
)
MENDED = ("portfolio.initial_cash=1e6",)


@pytest.fixture
def loaded(folder: Path) -> Any:
    (folder / "run.yaml").write_text(TEXT)
    return lambda *overrides: load_backtest_config("run.yaml", [*MENDED, *overrides])


def at(config: BacktestConfig, path: str) -> Any:
    here: Any = config.model_dump()
    for key in path.split("."):
        here = here[int(key)] if isinstance(here, list) else here[key]
    return here


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("portfolio.initial_cash=5e4", "portfolio.initial_cash", 50_000.0),
        ("risk.cash_buffer_pct=0.05", "risk.cash_buffer_pct", 0.05),
        ("risk.sizing.value=0.3", "risk.sizing.value", 0.3),
        ("risk.daily_loss.limit_pct=0.02", "risk.daily_loss.limit_pct", 0.02),
        ("risk.max_open_orders=0x10", "risk.max_open_orders", 16),
        ("risk.shortable=[AIG, ON]", "risk.shortable", ["AIG", "ON"]),
        ("execution.fill_on_touch=true", "execution.fill_on_touch", True),
        ("execution.policy=immediate", "execution.policy", "immediate"),
        ("strategies.0.params.fast=20", "strategies.0.params.fast", 20),
        ("strategies.sma.params.fast=20", "strategies.0.params.fast", 20),
        ("strategies.pair.params.z=2.5", "strategies.1.params.z", 2.5),
        ("strategies.pair.params.name=a=b", "strategies.1.params.name", "a=b"),
        ("strategies.sma.params.x=2013-10-04", "strategies.0.params.x", "2013-10-04"),
        ("strategies.sma.params.x='5'", "strategies.0.params.x", "5"),
        ("strategies.sma.params.x=", "strategies.0.params.x", None),
        ("strategies.sma.params={slow: 30}", "strategies.0.params", {"slow": 30}),
        ("strategies.pair.warmup={bars: 5}", "strategies.1.warmup.bars", 5),
        ("data.symbols.1=GE", "data.symbols", ["SPY", "GE"]),
        ("backtest.start=2013-10-07", "backtest.start", "2013-10-07"),
        (" risk.cash_buffer_pct = 0.05", "risk.cash_buffer_pct", 0.05),
    ],
)
def test_a_value_is_set(loaded: Any, override: str, path: str, value: object) -> None:
    found = at(loaded(override), path)
    assert (found, type(found)) == (value, type(value)) or (found == value and "policy" in path)


def test_the_last_of_one_key_counts(loaded: Any) -> None:
    config = loaded("strategies.sma.params={a: 1}", "strategies.0.params.a=2", "backtest.seed=1",
                    "backtest.seed=2")  # fmt: skip
    assert (config.strategies[0].params, config.backtest.seed) == ({"a": 2}, 2)


def test_an_entry_is_found_by_its_new_id(loaded: Any) -> None:
    config = loaded("strategies.sma.id=cross", "strategies.cross.budget_pct=0.5")
    assert config.risk.budgets == {"cross": 0.5, "pair": 1.0}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("risk.cash_bufer_pct=0.05", "risk.cash_bufer_pct: unknown key; nearest: cash_buffer_pct"),
        ("riks.cash_buffer_pct=0.05", "riks: unknown key; nearest: risk; allowed: version, "),
        ("risk.sizing.valu=1", "risk.sizing.valu: unknown key; nearest: value"),
        ("risk.cash_buffer_pct=5", "risk.cash_buffer_pct: came 5 (a whole number); allowed: a num"),
        ("risk.cash_buffer_pct=[1, 2", "not YAML 1.2: expected ',' or ']'"),
        ("risk.cash_buffer_pct=!x 1", "risk.cash_buffer_pct: the tag !x is not allowed"),
        ("risk.cash_buffer_pct=", "risk.cash_buffer_pct: came nothing; allowed: a number from 0"),
        ("risk={sizing: {value: 2}}", "risk.sizing.value: came 2 with method fraction_of_equity"),
        ("strategies.smaa.budget_pct=1", "strategies has 2 entries and no 'smaa'; nearest: sma"),
        ("strategies.7.budget_pct=1", "strategies has 2 entries and no '7'; nearest: sma, pair"),
        ("strategies.-1.budget_pct=1", "strategies has 2 entries and no '-1'; nearest: sma, pair"),
        ("data.symbols.2=GE", "data.symbols has 2 entries and no '2'"),
        ("data.symbols.x.y=GE", "data.symbols has 2 entries and no 'x'"),
        ("backtest.start.day=1", "backtest.start is text, which has no 'day'"),
        ("risk.sizing.value.x=1", "risk.sizing.value is a number, which has no 'x'"),
        ("strategies.sma.file=absent.py", "strategies.0.file: no file 'absent.py' beside the"),
        ("backtest.end=2013-10-01", "backtest.end: 2013-10-01 is before backtest.start"),
        ("backtest.seed", "write KEY.PATH=VALUE, such as risk.cash_buffer_pct=0.05"),
        ("=1", "write KEY.PATH=VALUE"),
        ("risk..x=1", "write KEY.PATH=VALUE"),
        ("risk.=1", "write KEY.PATH=VALUE"),
    ],
)
def test_a_wrong_override_is_told_as_itself(refusal: Refusal, override: str, said: str) -> None:
    (problem,) = refusal(TEXT, *MENDED, override)
    assert problem.startswith(f"--set {override}: {said}")


def test_an_override_mends_what_the_file_has_wrong(refusal: Refusal, loaded: Any) -> None:
    assert refusal(TEXT) == (
        "run.yaml:8: portfolio.initial_cash: came 'much'; allowed: a number above 0",
    )
    assert loaded().portfolio.initial_cash == 1e6


def test_an_override_mends_what_could_not_be_read(folder: Path) -> None:
    (folder / "run.yaml").write_text(text_of("portfolio: {initial_cash: !x 1}"))
    config = load_backtest_config("run.yaml", ["portfolio.initial_cash=5"])
    assert config.portfolio.initial_cash == 5


def test_a_key_that_is_there_twice_stays_wrong(refusal: Refusal) -> None:
    (problem,) = refusal(text_of("data: {symbols: [GE]}"), "data.symbols=[AIG]")
    assert problem == "run.yaml:5: data: the key is there twice, first in line 2"


def test_problems_of_file_and_overrides_are_told_together(refusal: Refusal) -> None:
    found = refusal(TEXT, "backtest.sed=1", "foo")
    assert [problem.split(": ")[0] for problem in found] == [
        "run.yaml:8", "--set backtest.sed=1", "--set foo",
    ]  # fmt: skip
