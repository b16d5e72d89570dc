"""The JSON Schema: valid, current, and of one mind with the models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.trading.config import config_schema, describe_config, dump_config, parse_backtest_config
from app.trading.config.schema import resolved
from app.trading.config.yaml_text import read_yaml
from tests.trading.config.conftest import text_of
from tests.trading.config.test_wrong_files import WRONG

jsonschema = pytest.importorskip("jsonschema")
COMMITTED = Path(__file__).parents[3] / "docs" / "run.schema.json"
LOADER_ALONE = {  # what a schema cannot know
    "key twice", "section twice", "wrong core tag", "naive time", "no date", "sexagesimal",
    "end before start", "end at start", "end on the day before", "a weekend",
    "before all calendars", "unknown calendar", "extended hours abroad", "symbol twice",
    "star and a symbol", "interval twice", "benchmark elsewhere", "more than all equity",
    "quantities the wrong way round", "two fees of one day", "one id twice",
    "strategy's symbol elsewhere", "strategy's star", "no such strategy",
    "a strategy that is no Python", "warm-up of both", "warm-up of neither",
    "warm-up of an interval that is not made", "key of a number", "key of nothing",
    "key of a list", "tagged key", "merge of a scalar", "nan", "half a character", "since a time",
    "a share of a count",
}  # fmt: skip


@pytest.fixture(scope="module")
def validator() -> Any:
    jsonschema.Draft202012Validator.check_schema(config_schema())
    return jsonschema.Draft202012Validator(config_schema())


def test_the_committed_schema_is_that_of_the_models() -> None:
    found = json.loads(COMMITTED.read_text("utf-8"))
    assert found == config_schema(), "run: python -m docs.generate"


def test_good_configurations_are_valid(validator: Any) -> None:
    assert not list(validator.iter_errors(read_yaml(text_of(), "good").data))
    text = dump_config(parse_backtest_config(text_of("risk: {daily_loss: {limit_pct: 0.1}}")))
    assert not list(validator.iter_errors(read_yaml(text, "resolved").data))


@pytest.mark.parametrize("name", sorted(set(WRONG) - LOADER_ALONE))
def test_what_a_key_alone_has_wrong_is_invalid(validator: Any, name: str) -> None:
    assert list(validator.iter_errors(read_yaml(WRONG[name][0], name).data))


def test_every_key_is_described() -> None:
    def nameless(node: Any, path: str) -> Iterator[str]:
        for key, below in node.get("properties", {}).items():
            if not resolved(below).get("description"):
                yield f"{path}.{key}"

    found = [n for name, node in config_schema()["$defs"].items() for n in nameless(node, name)]
    assert [*found, *nameless(config_schema(), "")] == []


def test_budgets_are_not_for_writing() -> None:
    assert "budgets" not in json.dumps(config_schema()).replace("budget_pct", "")


def test_rows_for_people() -> None:
    sections = describe_config()
    assert [*sections] == [
        "backtest", "data", "portfolio", "risk", "execution", "strategies", "services",
    ]  # fmt: skip
    rows = {row.key: row for _, rows in sections.values() for row in rows}
    assert rows["risk.cash_buffer_pct"][1:3] == ("0.0", "a number from 0 to 1")
    assert rows["backtest.start"].default is None
    assert rows["data.derived_intervals"].default == "[5, 15]"
    assert rows["risk.daily_loss.limit_pct"].default is None
    assert rows["strategies.<n>.warmup.interval"].default == "1m"
    assert rows["execution.regulatory.<n>.since"].allowed == "a date such as 2013-10-04"
    assert rows["execution.policy"].allowed == "next_bar, immediate, realistic"
    assert rows["execution.fill_on_touch"][1:3] == ("false", "true or false")
    assert rows["strategies.<n>.params"][1:3] == ("{}", "a mapping")
