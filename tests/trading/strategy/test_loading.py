"""A strategy's file: what is found in it, and what is said of one that cannot be used."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import pytest

from app.errors import RequestError
from app.trading.sections import StrategySection
from app.trading.services.strategy import StrategyError, check_strategies
from app.trading.strategy import Param, Strategy
from tests.trading.harness import Stage
from tests.trading.strategy.support import HEAD, make, section, strategy

ONE = HEAD + "class A(Strategy):\n    pass\n"


def modules() -> set[str]:
    gc.collect()
    return {name for name in sys.modules if "strategy_" in name}


def check(folder: Path, source: str, **keys: Any) -> None:
    (folder / "one.py").write_text(source, "utf-8")
    check_strategies([section(**keys)], folder)


@pytest.mark.parametrize(
    ("source", "keys", "said"),
    [
        (HEAD + "x = (\n", {}, "one.py, line 2: SyntaxError: '(' was never closed"),
        (HEAD + "def f():\npass\n", {}, "one.py, line 3: IndentationError: expected an indented"),
        (HEAD + "\nimport nowhere_to_be_found\n", {}, "one.py, line 3: ModuleNotFoundError"),
        (HEAD + "def f():\n    1 / 0\n\nf()\n", {}, "one.py, line 3: ZeroDivisionError: division"),
        (HEAD + "import json\njson.loads('x')\n", {}, "one.py, line 3: JSONDecodeError"),
        (HEAD, {}, "one.py, line 1: no class in it derives from Strategy"),
        (
            ONE + "class B(Strategy):\n    pass\n", {},
            "one.py, line 4: several strategies: A (line 2), B (line 4); say which one as 'name'",
        ),
        (ONE, {"name": "Aa"}, "one.py, line 1: no strategy 'Aa' in it; nearest: A"),
        (ONE + "x = 1\n", {"name": "x"}, "no strategy 'x' in it; nearest: A"),
        (ONE, {"name": "Strategy"}, "no strategy 'Strategy' in it"),
        (
            HEAD + "class A(Strategy):\n    fast = Param(0, ge=1)\n", {},
            "one.py, line 3: ParamError: a parameter's default is 0 (int); needed: int, >= 1",
        ),
        (
            HEAD + "class A(Strategy):\n    def on_bars(self, ctx, bar): ...\n", {},
            "one.py, line 3: on_bars is no callback; nearest: on_bar",
        ),
        (
            HEAD + "class A(Strategy):\n    def on_bar(self, bar): ...\n", {},
            "one.py, line 3: on_bar cannot be called as (self, ctx, bar): too many positional",
        ),
        (
            HEAD + "class A(Strategy):\n    async def on_bar(self, ctx, bar): ...\n", {},
            "one.py, line 3: on_bar is async, a generator or no function",
        ),
        (
            HEAD + "class A(Strategy):\n    def on_bar(self, ctx, bar):\n        yield\n", {},
            "one.py, line 3: on_bar is async, a generator or no function",
        ),
        (
            HEAD + "class A(Strategy):\n    on_bar = print\n", {},
            "one.py, line 3: on_bar is async, a generator or no function",
        ),
        (
            HEAD + "class A(Strategy):\n\n    intervals = [1, 5]\n", {},
            "one.py, line 4: intervals is [1, 5]; needed: minutes, as (1, 5, 15)",
        ),
        (HEAD + "class A(Strategy):\n    intervals = (5, 5)\n", {}, "line 3: intervals is (5, 5)"),
        (HEAD + "class A(Strategy):\n    intervals = ()\n", {}, "line 3: intervals is ()"),
        (
            HEAD + "class A(Strategy):\n    def __init__(self):\n        self.x = [][0]\n", {},
            "one.py, line 4: A(): IndexError: list index out of range",
        ),
        (HEAD + "import sys\nsys.exit(3)\n", {}, "one.py, line 3: SystemExit: 3"),
        (
            HEAD + "class A(Strategy):\n    def __init__(self):\n        exit(3)\n", {},
            "one.py, line 4: A(): SystemExit: 3",
        ),
        (
            HEAD + "class A(Strategy):\n    def __init__(self, x):\n        self.x = x\n", {},
            "one.py, line 2: A(): TypeError: A.__init__() missing 1 required positional",
        ),
        (ONE, {"warmup": {"bars": 3}}, "one.py, line 2: one: a warm-up needs on_bar"),
        (
            HEAD + "class A(Strategy):\n    def on_bar(self, ctx, bar): ...\n",
            {"warmup": {"bars": 3, "interval": "5m"}},
            "one.py, line 2: one: a warm-up of 5m; intervals is (1,)",
        ),
    ],
)  # fmt: skip
def test_a_bad_file_is_told_with_its_line(
    tmp_path: Path, source: str, keys: dict[str, Any], said: str
) -> None:
    before = modules()
    with pytest.raises(StrategyError) as caught:
        check(tmp_path, source, **keys)
    assert said in str(caught.value)
    assert modules() == before


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match=r"one\.py: cannot be read: No such file"):
        check_strategies([section()], tmp_path)


@pytest.mark.parametrize(
    ("params", "line", "said"),
    [
        (
            {"fats": 3},
            3,
            "unknown parameter 'fats'; nearest: fast, rate; A has: fast, rate, kind, on",
        ),
        ({"zzz": 3}, 3, "unknown parameter 'zzz'; nearest: none"),
        ({"fast": 0}, 4, "parameter 'fast' is 0 (int); needed: int, >= 1, <= 500"),
        ({"fast": 501}, 4, "parameter 'fast' is 501 (int); needed: int, >= 1, <= 500"),
        ({"fast": 3.0}, 4, "parameter 'fast' is 3.0 (float); needed: int"),
        ({"fast": "3"}, 4, "parameter 'fast' is '3' (str); needed: int"),
        ({"fast": True}, 4, "parameter 'fast' is True (bool); needed: int"),
        ({"fast": None}, 4, "parameter 'fast' is None (NoneType); needed: int"),
        ({"rate": 0}, 5, "parameter 'rate' is 0.0 (float); needed: float, > 0, < 1"),
        ({"rate": 1.0}, 5, "parameter 'rate' is 1.0 (float)"),
        ({"kind": "c"}, 6, "parameter 'kind' is 'c' (str); needed: str, one of 'a', 'b'"),
        ({"on": 1}, 7, "parameter 'on' is 1 (int); needed: bool"),
    ],
)
def test_a_bad_parameter_is_told(
    tmp_path: Path, params: dict[str, Any], line: int, said: str
) -> None:
    source = HEAD + (
        "\nclass A(Strategy):\n    fast = Param(30, ge=1, le=500)\n"
        "    rate = Param(0.5, gt=0, lt=1)\n    kind = Param('a', choices=('a', 'b'))\n"
        "    on = Param(False)\n"
    )
    with pytest.raises(StrategyError) as caught:
        check(tmp_path, source, params=params)
    assert f"one.py, line {line}: {said}" in str(caught.value)


@pytest.mark.parametrize("default", [None, [], 1j])
def test_a_default_is_a_plain_value(default: Any) -> None:
    with pytest.raises(RequestError, match="allowed: int, float, str, bool"):
        Param(default)


def test_parameters_are_there_before_init(tmp_path: Path) -> None:
    source = HEAD + (
        "class Base(Strategy):\n    fast = Param(3)\n    slow = Param(9)\n    old = Param(1)\n"
        "class A(Base):\n    slow = Param(10.0)\n    old = 'no parameter any more'\n"
        "    def __init__(self):\n        self.sum = self.fast + self.slow\n"
    )
    runner = make(Stage(), tmp_path, source, section(name="A", params={"fast": 4, "slow": 5}))
    made = strategy(runner)
    assert (made.fast, made.slow, made.sum, made.old) == (4, 5.0, 9.0, "no parameter any more")
    assert type(made.slow) is float
    with pytest.raises(StrategyError, match="unknown parameter 'old'"):
        check_strategies([section(name="A", params={"old": 1})], tmp_path)


def test_of_a_default_nothing_need_be_said(tmp_path: Path) -> None:
    class Plain(Strategy):
        fast = Param(30)

    assert Plain().fast == 30
    assert Plain.fast.needed == "int"


def test_nan_is_within_no_bound() -> None:
    with pytest.raises(RequestError, match="is nan"):
        Param(0.5, gt=0).check(float("nan"))


def test_modules_have_names_of_their_own_and_go_with_their_runner(tmp_path: Path) -> None:
    before = modules()
    source = ONE + "import dataclasses\n@dataclasses.dataclass\nclass D:\n    x: 'int' = 1\n"
    source += "shared = []\n"
    runner = make(Stage(), tmp_path, {"one": source, "two": source})
    first, second = strategy(runner, "one"), strategy(runner, "two")
    assert type(first).__module__ != type(second).__module__
    assert len(modules() - before) == 2
    assert "one" not in sys.modules
    names = [sys.modules[type(s).__module__] for s in (first, second)]
    assert names[0].shared is not names[1].shared
    del runner, first, second, names
    assert modules() == before


def test_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    """A changed file of the same size and second must not come from a cache."""
    for number in (1, 2):
        source = HEAD + f"class A(Strategy):\n    fast = Param({number})\n"
        assert strategy(make(Stage(), tmp_path, source)).fast == number
    assert [p.name for p in tmp_path.iterdir()] == ["one.py"]


def test_two_strategies_of_one_id_are_refused(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(ONE, "utf-8")
    with pytest.raises(StrategyError, match="two strategies have the id 'one'"):
        check_strategies([section(), section()], tmp_path)


def test_a_symbol_that_the_run_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match="'one': the run has no symbol 'AAB'; nearest: AAA"):
        make(Stage(["AAA"]), tmp_path, ONE, section(symbols=["AAB"]))


def test_an_interval_that_the_run_has_not_is_refused(tmp_path: Path) -> None:
    source = HEAD + "class A(Strategy):\n    intervals = (1, 7)\n"
    with pytest.raises(StrategyError, match=r"one.py, line 3: intervals has 7; the run has.* 1, 5"):
        make(Stage(intervals=(1, 5)), tmp_path, source)


def test_warm_up_needs_bars_or_days(tmp_path: Path) -> None:
    """As the configuration's own check; a section that was made without it is checked here."""
    wish: Any = {"id": "one", "file": "one.py", "warmup": {}}
    (tmp_path / "one.py").write_text(
        HEAD + "class A(Strategy):\n    def on_bar(self, ctx, bar): ...\n", "utf-8"
    )
    with pytest.raises(StrategyError, match="a warm-up needs bars or days"):
        check_strategies([StrategySection.model_validate(wish)], tmp_path)
