"""A resolved configuration reads back equal; whatever is read is a configuration or refused."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from app.errors import ConfigError
from app.trading.config import BacktestConfig, dump_config, parse_backtest_config
from tests.trading.config.conftest import text_of

FEW = settings(max_examples=60, deadline=None)
texts = st.text(max_size=12) | st.sampled_from(
    ["ON", "no", "true", "~", "null", "<<", "1e3", "0o7", "2013-10-04", "a: b", "- a", "#", "*a",
     " x ", "\n", "\x85\u2028\x00", "'\"", "🙂", "12:30", "%", "---", "\ufeff"]
)  # fmt: skip
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers()
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
fractions = st.floats(0, 1)
positives = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
symbols = st.lists(texts.filter(lambda s: s not in ("", "*")), min_size=1, max_size=4, unique=True)


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    named = draw(symbols)
    ids = draw(st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,5}", fullmatch=True),
                        min_size=1, max_size=3, unique=True))  # fmt: skip
    return {
        "backtest": {"start": "2013-10-04", "end": draw(st.sampled_from(
            ["2013-10-04", "2013-10-08T16:00:00-04:00"])), "seed": draw(st.integers(0, 2**63 - 1))},
        "data": {"symbols": named, "catalog": draw(st.none() | texts)},
        "portfolio": {"initial_cash": draw(positives), "benchmark": draw(st.none() |
                                                                         st.sampled_from(named))},
        "risk": {
            "cash_buffer_pct": draw(fractions),
            "sizing": {"method": "fixed_quantity", "value": draw(positives)},
            "shortable": draw(st.sampled_from(["all", "none"]) | st.lists(texts, max_size=2)),
            "daily_loss": draw(st.none() | st.builds(
                lambda x: {"limit_pct": x, "action": "flatten"}, fractions)),
        },
        "execution": {"regulatory": [{"name": "SEC", "since": str(draw(st.dates()))}]},
        "strategies": [
            {"id": name, "file": "a.py", "params": draw(st.dictionaries(texts, values, max_size=4)),
             "budget_pct": draw(fractions),
             "warmup": draw(st.none() | st.just({"bars": 5, "interval": "15m"}))}
            for name in ids
        ],
    }  # fmt: skip


@FEW
@given(configs())
def test_what_is_dumped_reads_back_equal(data: dict[str, Any]) -> None:
    config = BacktestConfig.model_validate(data)
    text = dump_config(config)
    again = parse_backtest_config(text)
    assert again == config
    assert again.model_dump() == config.model_dump()
    assert dump_config(again) == text
    text.encode("utf-8")


@FEW
@given(configs())
def test_other_readers_of_yaml_1_2_read_the_same(data: dict[str, Any]) -> None:
    config = BacktestConfig.model_validate(data)
    found = YAML(typ="safe", pure=True).load(dump_config(config))
    assert found == config.model_dump(mode="json")


def test_the_dump_has_every_key_and_what_was_set() -> None:
    config = parse_backtest_config(text_of(), overrides=["backtest.seed=7", "data.symbols=[ON]"])
    lines = dump_config(config).splitlines()
    assert lines[0] == "version: 1"
    assert {"  seed: 7", '  - "ON"', "  initial_cash: 100000.0", "  policy: next_bar"} <= {*lines}
    assert set(BacktestConfig.model_fields) == {k.split(":")[0] for k in lines if k[0].isalpha()}


def refused(text: str, *overrides: str) -> tuple[str, ...]:
    """The problems of a text, at least one; none where it is a configuration."""
    try:
        parse_backtest_config(text, overrides=overrides)
    except ConfigError as error:
        return error.problems or ("an error that says nothing",)
    return ()


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet=st.sampled_from("ab:-[]{}#&*!|>'\"%@`,? \n\t\\~<1.e\x00\ud800é"), max_size=40)
    | st.text(max_size=40),
    st.booleans(),
)
def test_any_text_is_read_or_refused(text: str, after_good: bool) -> None:
    for problem in refused(text_of(text) if after_good else text):
        assert problem.startswith("configuration")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["backtest", "data.symbols", "risk.sizing.value", "strategies", "strategies.0.warmup",
             "strategies.0.params", "execution.regulatory", "backtest.start", "backtest.calendar",
             "risk.shortable", "strategies.sma.symbols", "version", "services.audit"]
        ),
        max_size=3,
    ),
    values,
)  # fmt: skip
def test_any_value_anywhere_is_taken_or_refused(paths: list[str], value: Any) -> None:
    written = _flow(value)
    for problem in refused(text_of(), *(f"{path}={written}" for path in paths)):
        assert problem.startswith("--set ")


def _flow(value: Any) -> str:
    """A value as it might be typed: text without quotes where it has no signs."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        return value if value.isalnum() else '"' + value.replace("\\", "").replace('"', "") + '"'
    return {None: "null", True: "true", False: "false"}.get(value, repr(value))
