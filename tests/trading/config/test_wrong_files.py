"""Files that are no configuration, and what is said of each: line, key, what came, what may be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.errors import ConfigError
from app.trading.config import load_backtest_config
from tests.trading.config.conftest import Refusal, text_of

NO_YAML = {
    "tab": (text_of("risk:", "\tcash_buffer_pct: 0"), "6: not YAML 1.2: a tab; indent and"),
    "tab after a dash": (text_of(l4="  -\t{id: sma, file: sma.py}"), "4: not YAML 1.2: a tab;"),
    "open bracket": (text_of(l2="data: {symbols: [SPY"), "3: not YAML 1.2: expected ',' or ']'"),
    "open quote": (text_of("risk: 'x"), "6: not YAML 1.2: found unexpected end of stream"),
    "indentation": (text_of("risk:", "  a: 1", " b: 2"), "7: not YAML 1.2: expected <block end>"),
    "no colon": (text_of("risk"), "6: not YAML 1.2: could not find expected ':'"),
    "two colons": (text_of("risk: a: b"), "5: not YAML 1.2: mapping values are not allowed here"),
    "reserved sign": (text_of("risk: `x`"), "5: not YAML 1.2: found character '`'"),
    "zero byte": (text_of("risk: \x00"), "5: a character that YAML does not take: U+0000"),
    "bell": (text_of("risk: \x07"), "5: a character that YAML does not take: U+0007"),
    "unknown alias": (text_of("risk: *limits"), "5: *limits: no anchor of this name ends before"),
    "alias in itself": (text_of("risk: &r {a: *r}"), "5: *r: no anchor of this name ends before"),
    "two documents": (text_of("---", "risk: {}"), "5: a second document begins"),
    "YAML 1.1": ("%YAML 1.1\n---\n" + text_of(), "2: %YAML 1.1 is asked for; allowed: 1.2"),
    "YAML 1.9": ("%YAML 1.9\n---\n" + text_of(), "1: not YAML 1.2: "),
    "deep": (text_of("risk: " + "[" * 50 + "]" * 50), "5: nested deeper than 40"),
    "empty": ("", "1: the file is empty; needed: a mapping with backtest, data and strategies"),
    "comment": ("# nothing\n", "1: the file is empty"),
    "null": ("---\n", "2: the file is empty"),
    "list": ("- backtest\n", "1: came a list; needed: a mapping with backtest"),
    "text": ("\nbacktest\n", "2: came text; needed: a mapping"),
    "number": ("5\n", "1: came a whole number; needed: a mapping"),
}


@pytest.mark.parametrize(("text", "said"), NO_YAML.values(), ids=NO_YAML)
def test_what_is_no_mapping_in_yaml(refusal: Refusal, text: str, said: str) -> None:
    (problem,) = refusal(text)
    assert problem.startswith(f"run.yaml:{said}")


def test_bytes_that_are_not_utf_8_are_told_with_their_line(refusal: Refusal) -> None:
    assert refusal(b"backtest: 1\ndata: \xff\n") == ("run.yaml:2: not UTF-8: invalid start byte",)
    assert refusal("backtest: 1".encode("utf-16"))[0].startswith("run.yaml:1: not UTF-8")


def test_a_byte_order_mark_and_windows_lines_are_taken(folder: Path) -> None:
    (folder / "run.yaml").write_bytes(b"\xef\xbb\xbf" + text_of().replace("\n", "\r\n").encode())
    assert load_backtest_config("run.yaml").data.symbols == ["SPY", "AIG"]


def test_a_file_that_is_not_there_names_the_nearest(folder: Path) -> None:
    (folder / "runs.yaml").touch()
    (folder / "configs").mkdir()
    os.mkfifo(folder / "pipe.yaml")
    for name, said in (
        ("run.yaml", "run.yaml: no such file; nearest: runs.yaml"),
        ("absent/x.yaml", "absent/x.yaml: no such file"),
        ("configs", "configs: is a folder; name a YAML file in it"),
        ("pipe.yaml", "pipe.yaml: is no plain file; name a YAML file"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_backtest_config(name)
        assert caught.value.problems == (said,)


def test_a_file_that_is_too_large_is_not_read(refusal: Refusal) -> None:
    assert refusal("#" * (2**20 + 1)) == ("run.yaml: 1,048,577 bytes; allowed: up to 1,048,576",)


def test_aliases_that_multiply_are_stopped(refusal: Refusal) -> None:
    lines = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    text = "a0: &a0 [1]\n" + "\n".join(lines) + "\n"
    assert refusal(text) == ("run.yaml: more than 100,000 values",)


@pytest.mark.parametrize("form", ["[*a{}]", "{{x: *a{}}}", "{{<<: *a{}}}"])
def test_aliases_that_stack_are_stopped(refusal: Refusal, form: str) -> None:
    lines = [f"a{n + 1}: &a{n + 1} {form.format(n)}" for n in range(2_000)]
    (problem,) = refusal("\n".join(["a0: &a0 {y: 1}", *lines]) + "\n")
    assert problem.startswith("run.yaml:")
    assert problem.endswith("nested deeper than 40")


WRONG = {
    # keys
    "unknown section": (
        text_of("servces: {}"),
        "5: servces: unknown key; nearest: services; allowed: version, backtest, data, portfolio, "
        "risk, execution, strategies, services",
    ),
    "unknown key": (
        text_of("risk: {cash_bufer_pct: 0.05}"),
        "5: risk.cash_bufer_pct: unknown key; nearest: cash_buffer_pct",
    ),
    "unknown key deep down": (
        text_of("execution:", "  commission:", "    per_shares: 1"),
        "7: execution.commission.per_shares: unknown key; nearest: per_share; allowed: per_share, "
        "percent, flat, minimum",
    ),
    "unknown key of a strategy": (
        text_of(l4="  - {id: sma, file: sma.py,\n     budget: 1}"),
        "5: strategies.0.budget: unknown key; nearest: budget_pct",
    ),
    "key twice": (
        text_of("risk:", "  cash_buffer_pct: 0", "  cash_buffer_pct: 0.1"),
        "7: risk.cash_buffer_pct: the key is there twice, first in line 6",
    ),
    "section twice": (text_of("data: {}"), "5: data: the key is there twice, first in line 2"),
    "key of a number": (
        text_of("risk: {1: 2}"), "5: risk: the key 1 is a whole number; allowed: text, such as '1'"
    ),
    "key of nothing": (text_of("risk: {: 2}"), "5: risk: a key is empty"),
    "key of a list": (text_of("risk: {[a]: 2}"), "5: risk: a key is a list or a mapping"),
    "key missing": (
        text_of(l1="backtest: {start: 2013-10-04}"),
        "1: backtest.end: missing; needed: text such as 2013-10-04 or 2013-10-04T09:30:00-04:00",
    ),
    "section missing": (
        text_of(l2="#"), "1: data: missing; needed: a mapping with the keys catalog, symbols"
    ),
    "empty section": (
        text_of("risk:"), "5: risk: came nothing; allowed: a mapping with the keys cash_buffer_pct"
    ),
    "merge of a scalar": (text_of("risk: {<<: 1}"), "5: risk: << takes a mapping"),
    # tags and numbers that are none
    "python object": (
        text_of("risk: !!python/object/apply:os.system [ls]"),
        "5: risk: the tag !!python/object/apply:os.system is not allowed",
    ),
    "tagged scalar": (
        text_of("risk: {cash_buffer_pct: !percent 5}"),
        "5: risk.cash_buffer_pct: the tag !percent is not allowed",
    ),
    "tagged key": (text_of("risk: {!x a: 5}"), "5: risk: the key a: the tag !x is not allowed"),
    "wrong core tag": (
        text_of("risk: {cash_buffer_pct: !!int 0.5}"),
        "5: risk.cash_buffer_pct: '0.5' is not what !!int says",
    ),
    "nan": (
        text_of(l4="  - {id: sma, file: sma.py, params: {x: .nan}}"),
        "4: strategies.0.params.x: came .nan; allowed: finite numbers",
    ),
    "infinity": (
        text_of("portfolio: {initial_cash: .inf}"),
        "5: portfolio.initial_cash: came .inf; allowed: finite numbers",
    ),
    "too large for a float": (
        text_of("portfolio: {initial_cash: 1e999}"), "5: portfolio.initial_cash: came 1e999; all"
    ),
    "endless digits": (
        text_of(f"portfolio: {{initial_cash: {'9' * 5000}}}"),
        "5: portfolio.initial_cash: a number of too many digits",
    ),
    "half a character": (
        text_of(r'portfolio: {benchmark: "\ud800"}'),
        "5: portfolio.benchmark: half of a surrogate pair is no character",
    ),
    # types and ranges
    "out of range": (
        text_of("risk: {cash_buffer_pct: 5}"),
        "5: risk.cash_buffer_pct: came 5 (a whole number); allowed: a number from 0 to 1",
    ),
    "below zero": (
        text_of("risk:", "  orders:", "    tick: -0.01"),
        "7: risk.orders.tick: came -0.01 (a number); allowed: a number of at least 0",
    ),
    "zero": (
        text_of("portfolio: {initial_cash: 0}"),
        "5: portfolio.initial_cash: came 0 (a whole number); allowed: a number above 0",
    ),
    "underscores": (
        text_of("portfolio: {initial_cash: 100_000}"),
        "5: portfolio.initial_cash: came '100_000'; allowed: a number above 0",
    ),
    "text for a number": (
        text_of("services: {watchdog_s: 30s}"),
        "5: services.watchdog_s: came '30s'; allowed: a number above 0",
    ),
    "quoted number": (
        text_of('services: {watchdog_s: "30"}'), "5: services.watchdog_s: came '30'; allowed: a num"
    ),
    "a share of a count": (
        text_of(l2="data: {symbols: [SPY], history_days: 1e1}"),
        "2: data.history_days: came 1e1 (a number); allowed: a whole number from 0 to 250",
    ),
    "yes": (
        text_of("execution: {fill_on_touch: yes}"),
        "5: execution.fill_on_touch: came 'yes'; allowed: true or false",
    ),
    "a word of none": (
        text_of("execution: {policy: next-bar}"),
        "5: execution.policy: came 'next-bar'; allowed: next_bar, immediate, realistic; "
        "nearest: next_bar",
    ),
    "a word's case": (
        text_of("services: {risk: Inline}"),
        "5: services.risk: came 'Inline'; allowed: inline, threaded, async; nearest: inline",
    ),
    "a symbol that is a truth": (
        text_of(l2="data: {symbols: [TRUE]}"),
        "2: data.symbols.0: came TRUE (true or false); allowed: text such as AAPL; in quotes it is "
        "text: 'TRUE'",
    ),
    "a symbol that is a number": (
        text_of("portfolio: {benchmark: 1e3}"),
        "5: portfolio.benchmark: came 1e3 (a number); allowed: text such as AAPL, or null; in "
        "quotes it is text: '1e3'",
    ),
    "one symbol": (
        text_of(l2="data: {symbols: SPY}"),
        "2: data.symbols: came 'SPY'; allowed: a list of at least 1, each: text such as AAPL",
    ),
    "no symbols": (
        text_of(l2="data: {symbols: []}"), "2: data.symbols: came an empty list; allowed: a list of"
    ),
    "empty symbol": (text_of(l2="data: {symbols: ['']}"), "2: data.symbols.0: came ''; allowed: "),
    "a stream that is derived": (
        text_of(l2="data: {symbols: [SPY], streams: [bars_5m]}"),
        "2: data.streams.0: came 'bars_5m'; allowed: bars_1m, trades, quotes; nearest: bars_1m",
    ),
    "derived interval of 1": (
        text_of(l2="data: {symbols: [SPY], derived_intervals: [1]}"),
        "2: data.derived_intervals.0: came 1 (a whole number); allowed: a whole number from 2 to",
    ),
    "shortable of two kinds": (
        text_of("risk: {shortable: some}"),
        "5: risk.shortable: came 'some'; allowed: all, none, or a list, each: text; nearest: none",
    ),
    "shortable entry": (
        text_of("risk: {shortable: [AIG, 5]}"),
        "5: risk.shortable.1: came 5 (a whole number); allowed: text; in quotes it is text: '5'",
    ),
    "version": (text_of("version: 2"), "5: version: came 2 (a whole number); allowed: 1"),
    "currency": (
        text_of(l1="backtest: {start: 2013-10-04, end: 2013-10-04, currency: usd}"),
        "1: backtest.currency: came 'usd'; allowed: text of the form ^[A-Z]{3}$ such as USD",
    ),
    "section of a list": (
        text_of("execution: []"), "5: execution: came an empty list; allowed: a mapping with the k"
    ),
    "strategies of a mapping": (
        text_of(l3="strategies:", l4="  sma: {file: sma.py}"),
        "3: strategies: came a mapping; allowed: a list of at least 1, each: a mapping with the",
    ),
    "long text": (
        text_of(f"execution: {{policy: {'x' * 500}}}"),
        f"5: execution.policy: came '{'x' * 59}...; allowed: next_bar",
    ),
    # times
    "naive time": (
        text_of(l1="backtest: {start: 2013-10-04, end: 2013-10-08T16:00:00}"),
        "1: backtest.end: not a time with a zone: '2013-10-08T16:00:00'; write RFC 3339, such as",
    ),
    "no date": (
        text_of(l1="backtest: {start: 2013-02-30, end: 2013-10-08}"),
        "1: backtest.start: not a date: '2013-02-30' (day is out of range for month)",
    ),
    "epoch": (
        text_of(l1="backtest: {start: 20131004, end: 2013-10-08}"),
        "1: backtest.start: came 20131004 (a whole number); allowed: text such as 2013-10-04",
    ),
    "sexagesimal": (
        text_of(l1="backtest: {start: 09:30:00, end: 2013-10-08}"),
        "1: backtest.start: not a time with a zone: '09:30:00'",
    ),
    "since an epoch": (
        text_of("execution: {regulatory: [{name: SEC, since: 0}]}"),
        "5: execution.regulatory.0.since: came 0 (a whole number); allowed: a date such as 2013-10",
    ),
    "since a time": (
        text_of("execution: {regulatory: [{name: SEC, since: 2013-10-04T00:00:00Z}]}"),
        "5: execution.regulatory.0.since: came '2013-10-04T00:00:00Z'; allowed: a date such as",
    ),
    "end before start": (
        text_of(l1="backtest: {start: 2013-10-08, end: 2013-10-04}"),
        "1: backtest.end: 2013-10-04 is before backtest.start, 2013-10-08",
    ),
    "end at start": (
        text_of(l1="backtest: {start: 2013-10-08T10:00:00Z, end: 2013-10-08T06:00:00-04:00}"),
        "1: backtest.end: 2013-10-08T06:00:00-04:00 is not after backtest.start",
    ),
    "end on the day before": (
        text_of(l1="backtest: {start: 2013-10-08, end: 2013-10-04T10:00:00Z}"),
        "1: backtest.end: 2013-10-04T10:00:00Z is before backtest.start, 2013-10-08",
    ),
    "a weekend": (
        text_of(l1="backtest: {start: 2013-10-05, end: 2013-10-06}"),
        "1: backtest.start: no trading day of XNYS from 2013-10-05 to 2013-10-06",
    ),
    "before all calendars": (
        text_of(l1="backtest: {start: 0001-01-01, end: 0001-01-02}"),
        "1: backtest.start: no calendar covers 0001-01-01 to 0001-01-02",
    ),
    "unknown calendar": (
        text_of(l1="backtest: {start: 2013-10-04, end: 2013-10-04, calendar: XNYX}"),
        "1: backtest.calendar: unknown calendar 'XNYX'; nearest: XNYS",
    ),
    "extended hours abroad": (
        text_of(
            l1="backtest: {start: 2013-10-04, end: 2013-10-04, calendar: XLON,\n"
            "  hours: extended}"
        ),
        "2: backtest.hours: hours 'extended' are known for US exchanges only, not for XLON",
    ),
    # between keys
    "symbol twice": (
        text_of(l2="data: {symbols: [SPY, AIG, SPY]}"), "2: data.symbols.2: 'SPY' is there twice"
    ),
    "star and a symbol": (
        text_of(l2="data: {symbols: [SPY, '*']}"),
        "2: data.symbols.1: '*' is all symbols, and stands alone",
    ),
    "interval twice": (
        text_of(l2="data: {symbols: [SPY], derived_intervals: [5, 5]}"),
        "2: data.derived_intervals.1: 5 is there twice",
    ),
    "benchmark elsewhere": (
        text_of("portfolio: {benchmark: SPX}"),
        "5: portfolio.benchmark: 'SPX' is not in data.symbols; nearest: SPY",
    ),
    "more than all equity": (
        text_of("risk: {sizing: {value: 100}}"),
        "5: risk.sizing.value: came 100 with method fraction_of_equity; allowed: a number above 0,"
        " at most 1",
    ),
    "quantities the wrong way round": (
        text_of("risk: {orders: {min_quantity: 10, max_quantity: 5}}"),
        "5: risk.orders.max_quantity: 5 is below min_quantity, 10",
    ),
    "budgets": (
        text_of("risk: {budgets: {sma: 0.5}}"),
        "5: risk.budgets: is made of the strategies' budget_pct; leave it out",
    ),
    "two fees of one day": (
        text_of(
            "execution:", "  regulatory:", "    - {name: SEC, since: 2013-01-01, percent: 0.1}",
            "    - {name: SEC, since: 2013-01-01}",
        ),
        "8: execution.regulatory.1: SEC (sell) since 2013-01-01 stands in execution.regulatory.0",
    ),
    "one id twice": (
        text_of("  - {id: sma, file: pair.py}"),
        "5: strategies.1.id: 'sma' is the id of strategies.0 too; ids are unique",
    ),
    "id of two words": (
        text_of(l4="  - {id: my sma, file: sma.py}"),
        "4: strategies.0.id: came 'my sma'; allowed: text of the form ^[A-Za-z0-9][A-Za-z0-9_-]{0,",
    ),
    "strategy's symbol elsewhere": (
        text_of(l4="  - {id: sma, file: sma.py, symbols: [SPY, AIGG]}"),
        "4: strategies.0.symbols.1: 'AIGG' is not in data.symbols; nearest: AIG",
    ),
    "strategy's star": (
        text_of(l2="data: {symbols: ['*']}", l4="  - {id: sma, file: sma.py, symbols: ['*']}"),
        "4: strategies.0.symbols.0: '*' is not for a strategy; leave symbols out",
    ),
    "a strategy file that is no text": (
        text_of(l4="  - {id: sma, file: 5}"),
        "4: strategies.0.file: came 5 (a whole number); allowed: text such as sma_cross.py",
    ),
    "no such strategy": (
        text_of(l4="  - {id: sma, file: smaa.py}"),
        "4: strategies.0.file: no file 'smaa.py' beside the configuration; nearest: sma.py",
    ),
    "a strategy that is no Python": (
        text_of(l4="  - {id: sma, file: run.yaml}"),
        "4: strategies.0.file: came 'run.yaml'; allowed: a .py file",
    ),
    "warm-up of both": (
        text_of(l4="  - {id: sma, file: sma.py, warmup: {bars: 5, days: 1}}"),
        "4: strategies.0.warmup: came both of bars and days; needed: one of them",
    ),
    "warm-up of neither": (
        text_of(l4="  - {id: sma, file: sma.py, warmup: {interval: 5m}}"),
        "4: strategies.0.warmup: came neither of bars and days; needed: one of them",
    ),
    "warm-up of an interval that is not made": (
        text_of(l4="  - {id: sma, file: sma.py, warmup: {bars: 5, interval: 30m}}"),
        "4: strategies.0.warmup.interval: came '30m'; allowed: 1m, 5m, 15m (1m and data.derived_",
    ),
    "warm-up of no bars": (
        text_of(l4="  - {id: sma, file: sma.py, warmup: {bars: 0}}"),
        "4: strategies.0.warmup.bars: came 0 (a whole number); allowed: a whole number of at least",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_each_problem_is_told_with_its_line(refusal: Refusal, text: str, said: str) -> None:
    (problem,) = refusal(text)
    assert problem.startswith(f"run.yaml:{said}")


def test_all_problems_of_a_file_are_told_at_once_in_its_order(refusal: Refusal) -> None:
    found = refusal(
        text_of(
            "    symbols: [AIGG]",
            "    warmup: {days: 1, interval: 7m, bar: 1}",
            "  - {id: sma, file: absent.py}",
            "risk:",
            "  cash_buffer_pct: 2",
            "  sizing: {value: 3}",
            "  sizing: {value: 0.1}",
            "portfolio: {benchmark: SPZ, initial_cash: !x 1}",
            l1="backtest: {start: 2013-10-08, end: 2013-10-04, sed: 1}",
            l4="  - id: sma\n    file: sma.py",
        )
    )
    assert [problem.split(": ")[:2] for problem in found] == [
        ["run.yaml:1", "backtest.end"],
        ["run.yaml:1", "backtest.sed"],
        ["run.yaml:6", "strategies.0.symbols.0"],
        ["run.yaml:7", "strategies.0.warmup.bar"],
        ["run.yaml:7", "strategies.0.warmup.interval"],
        ["run.yaml:8", "strategies.1.file"],
        ["run.yaml:8", "strategies.1.id"],
        ["run.yaml:10", "risk.cash_buffer_pct"],
        ["run.yaml:11", "risk.sizing.value"],
        ["run.yaml:12", "risk.sizing"],
        ["run.yaml:13", "portfolio.benchmark"],
        ["run.yaml:13", "portfolio.initial_cash"],
    ]


def test_what_could_not_be_read_gives_no_second_problem(refusal: Refusal) -> None:
    (problem,) = refusal(text_of(l2="data: {symbols: [SPY, !x AIG]}"))
    assert problem == "run.yaml:2: data.symbols.1: the tag !x is not allowed"


def test_very_many_problems_are_cut(refusal: Refusal) -> None:
    numbers = ", ".join(map(str, range(500)))
    found = refusal(text_of(l2=f"data: {{symbols: [{numbers}]}}"))
    assert (len(found), found[-1]) == (101, "... and 400 more")
