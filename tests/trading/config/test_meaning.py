"""What a good file means: scalars of YAML 1.2, anchors, times, defaults, budgets, folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.errors import ConfigError, RequestError
from app.trading.config import (
    BacktestConfig,
    load_backtest_config,
    parse_backtest_config,
    read_config_file,
)
from tests.trading.config.conftest import text_of


def params_of(written: str) -> dict[str, Any]:
    text = text_of(l4=f"  - {{id: sma, file: sma.py, params: {written}}}")
    return parse_backtest_config(text).strategies[0].params


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("ON", "ON"), ("NO", "NO"), ("Y", "Y"), ("off", "off"), ("yes", "yes"),
        ("true", True), ("True", True), ("FALSE", False), ("tRUE", "tRUE"),
        ("null", None), ("~", None), ("NULL", None), ("nULL", "nULL"), ("", None),
        ("10", 10), ("-5", -5), ("+5", 5), ("010", 10), ("0o17", 15), ("0x1F", 31),
        ("0b11", "0b11"),
        ("0o8", "0o8"), ("1e3", 1000.0), ("1.", 1.0), (".5", 0.5), ("-1.5E-2", -0.015),
        ("1_000", "1_000"), ("1:30", "1:30"), ("12:30:45", "12:30:45"), ("1e", "1e"), (".", "."),
        ("2013-10-04", "2013-10-04"), ("2013-10-04T09:30:00Z", "2013-10-04T09:30:00Z"),
        ("nan", "nan"), ("inf", "inf"), ("'5'", "5"), ('"true"', "true"), ("!!str 5", "5"),
        ("!!int 5", 5), ("!!float 5", 5.0), ("!!float 5.5", 5.5), ("!!bool true", True),
        ("!!null ''", None), ("! 5", "5"), (r'"\ud83d\ude00"', "😀"), ("1٣", "1٣"),
    ],
)  # fmt: skip
def test_scalars_mean_what_yaml_1_2_says(written: str, value: object) -> None:
    if written == "!!null ''":
        written = "!!null null"
    found = params_of(f"{{x: {written}}}")["x"]
    assert (found, type(found)) == (value, type(value))


def test_symbols_that_other_readers_take_for_truths_stay_text() -> None:
    text = text_of(l2="data: {symbols: [ON, NO, Y, OFF, 'TRUE']}")
    assert parse_backtest_config(text).data.symbols == ["ON", "NO", "Y", "OFF", "TRUE"]


def test_anchors_and_merge_keys() -> None:
    text = text_of(
        "  - <<: *base",
        "    id: slow",
        "    params: {<<: [*p, {fast: 1, z: 3}], slow: 90}",
        l4="  - &base {id: sma, file: sma.py, params: &p {fast: 10, slow: 30}, budget_pct: 0.5}",
    )
    first, second = parse_backtest_config(text).strategies
    assert (second.id, second.file, second.budget_pct) == ("slow", "sma.py", 0.5)
    assert second.params == {"fast": 10, "z": 3, "slow": 90}
    assert first.params == {"fast": 10, "slow": 30}


def test_a_quoted_merge_sign_is_a_key() -> None:
    assert params_of('{"<<": 1}') == {"<<": 1}


def test_times_may_be_dates_or_have_a_zone() -> None:
    for start in ("2013-10-04", "'2013-10-04'", "2013-10-04T09:30:00-04:00"):
        text = text_of(l1=f"backtest: {{start: {start}, end: 2013-10-08}}")
        assert parse_backtest_config(text).backtest.start == start.strip("'")
    fee = text_of("execution: {regulatory: [{name: SEC, since: 2013-10-04}]}")
    assert str(parse_backtest_config(fee).execution.regulatory[0].since) == "2013-10-04"


def test_a_fee_may_change_in_time_and_by_side() -> None:
    rows = [
        "{name: SEC, since: 2012-01-01}", "{name: SEC, since: 2013-01-01}",
        "{name: SEC, since: 2013-01-01, side: buy}", "{name: TAF, since: 2013-01-01}",
    ]  # fmt: skip
    config = parse_backtest_config(text_of(f"execution: {{regulatory: [{', '.join(rows)}]}}"))
    assert len(config.execution.regulatory) == 4


def test_budgets_are_those_of_the_strategies() -> None:
    text = text_of("    budget_pct: 0.25", "  - {id: pair, file: pair.py}",
                   l4="  - id: sma\n    file: sma.py")  # fmt: skip
    config = parse_backtest_config(text)
    assert config.risk.budgets == {"sma": 0.25, "pair": 1.0}
    assert "budgets" not in config.model_dump()["risk"]


def test_sections_made_in_python_are_checked_too() -> None:
    good = parse_backtest_config(text_of()).model_dump()
    assert BacktestConfig.model_validate(good).risk.budgets == {"sma": 1.0}
    good["strategies"] *= 2
    with pytest.raises(ValidationError, match=r"strategies\.1\.id: 'sma' is the id of"):
        BacktestConfig.model_validate(good)
    for since in (5, None, 2.5):
        with pytest.raises(ValidationError, match="not a date"):
            BacktestConfig.model_validate(
                parse_backtest_config(text_of()).model_dump()
                | {"execution": {"regulatory": [{"name": "SEC", "since": since}]}}
            )


def test_a_configuration_does_not_change() -> None:
    config = parse_backtest_config(text_of())
    with pytest.raises(ValidationError, match="frozen"):
        config.backtest.seed = 5


def test_strategy_files_are_relative_to_the_file(folder: Path) -> None:
    below = folder / "configs" / "spy"
    below.mkdir(parents=True)
    (below / "run.yaml").write_text(text_of(l4="  - {id: sma, file: ../own.py}"))
    (folder / "configs" / "own.py").touch()
    assert read_config_file("configs/spy/run.yaml").folder == below
    absolute = f"strategies.sma.file={folder / 'sma.py'}"
    assert read_config_file("configs/spy/run.yaml", [absolute]).folder == below
    with pytest.raises(ConfigError, match=r"no file 'sma\.py' beside the configuration"):
        read_config_file("configs/spy/run.yaml", ["strategies.sma.file=sma.py"])


def test_a_file_that_may_not_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    (folder / "run.yaml").touch()
    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(ConfigError, match=r"^run\.yaml: cannot be read: Permission denied$"):
        load_backtest_config("run.yaml")


def test_a_text_needs_no_files() -> None:
    assert parse_backtest_config(text_of(l4="  - {id: a, file: absent.py}")).strategies[0].id == "a"
    with pytest.raises(ConfigError, match=r"^configuration:5: risk: unknown|^configuration:5: "):
        parse_backtest_config(text_of("risk: 5"))
    with pytest.raises(RequestError, match=r"^run\.yaml of run 7:5: risk: came 5"):
        parse_backtest_config(text_of("risk: 5"), "run.yaml of run 7")


class TestWithinAFolder:
    """What a server may run: nothing outside of its folder."""

    @pytest.fixture(autouse=True)
    def _served(self, folder: Path) -> None:
        served = folder / "served"
        (served / "deep").mkdir(parents=True)
        (served / "sma.py").touch()
        (served / "run.yaml").write_text(text_of())
        (served / "out.yaml").write_text(text_of(l4="  - {id: sma, file: ../sma.py}"))
        (served / "deep" / "up.yaml").write_text(text_of(l4="  - {id: sma, file: ../sma.py}"))
        (folder / "run.yaml").write_text(text_of())
        (served / "link.yaml").symlink_to(folder / "run.yaml")
        (served / "link.py").symlink_to(folder / "sma.py")
        self.served = served

    def problems(self, name: str, *overrides: str) -> tuple[str, ...]:
        with pytest.raises(ConfigError) as caught:
            load_backtest_config(name, overrides, within=self.served)
        return caught.value.problems

    @pytest.mark.parametrize("name", ["run.yaml", "./run.yaml", "deep/up.yaml", "deep/../run.yaml"])
    def test_names_are_relative_to_it(self, name: str) -> None:
        found = read_config_file(name, within=self.served)
        assert found.config.strategies[0].id == "sma"
        assert found.path.is_relative_to(self.served.resolve())

    @pytest.mark.parametrize("name", ["../run.yaml", "link.yaml", "deep/../../run.yaml"])
    def test_nothing_outside_is_opened(self, name: str) -> None:
        assert self.problems(name) == (f"{name}: lies outside of the folder of configurations",)

    def test_an_absolute_name_outside_is_refused(self, folder: Path) -> None:
        (problem,) = self.problems(str(folder / "run.yaml"))
        assert problem.endswith("lies outside of the folder of configurations")

    def test_no_strategy_outside_is_loaded(self) -> None:
        said = "lies outside of the folder of configurations"
        assert self.problems("out.yaml") == (f"out.yaml:4: strategies.0.file: '../sma.py' {said}",)
        override = "strategies.sma.file=link.py"
        assert self.problems("run.yaml", override) == (
            f"--set {override}: strategies.0.file: 'link.py' {said}",
        )

    def test_a_name_that_is_not_there(self) -> None:
        assert self.problems("runs.yaml") == (
            "runs.yaml: no such file; nearest: run.yaml, out.yaml, link.yaml",
        )
