"""This project and its peers at the same work, one after the other on the same files.

    scripts/bench [--quick] [--check] [--pairs 5] [--workloads W1,W2] [--engines NAME,...]

Every run is a process of its own. A pair is a run of this project and, right after it, one of what
it is held against; see docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.comparison import Comparison
from benchmarks.engines import OURS, TAPEDECK, Duel, duels
from benchmarks.figures import slower
from benchmarks.instructions import more, replay_instructions
from benchmarks.measured import DATA, HERE, say, write
from benchmarks.page import write_page
from benchmarks.runs import RunFailed, own_python, run
from benchmarks.table import table
from benchmarks.workloads import QUICK, WORKLOADS, Workload, prepare

RESULTS = HERE / "results.json"
QUICK_RESULTS = HERE / "results-quick.json"
QUICK_S = 120  # after which --quick begins no more pairs
PAIRS = 5  # of what is published


def chosen(options: argparse.Namespace) -> Iterator[tuple[Workload, list[Duel]]]:
    """Workloads with what is to be run of them."""
    engines, strategies = options.engines.split(","), options.strategies.split(",")
    for workload in QUICK if options.quick else WORKLOADS:
        if options.workloads and workload.name not in options.workloads.split(","):
            continue
        found = [
            duel
            for duel in duels(workload.name, options.quick)
            if duel.other.name.startswith(tuple(engines))
            and (not options.strategies or duel.strategy in strategies)
        ]
        if found:
            yield workload, found


def compare(options: argparse.Namespace, work: list[tuple[Workload, list[Duel]]]) -> dict[str, Any]:
    """Every chosen pair, as often as is asked for."""
    folder = DATA / "quick" if options.quick else DATA
    has_parts = not (options.quick or options.uncut)
    comparison = Comparison(folder, DATA / "envs", options.seconds, has_parts)
    comparison.set_up([duel.other for _, found in work for duel in found])
    to_come = options.pairs * sum(len(found) for _, found in work)
    for pair in range(options.pairs):  # the workloads in turn: want of time is shared by all
        for workload, found in work:
            say(f"{workload.name}: {len(found)} duels, {pair + 1} of {options.pairs}")
            comparison.warm(workload)
            for duel in found:
                comparison.duel(duel)
                to_come -= 1
                write(so_far(options), comparison.results(options.quick, options.pairs, to_come))
            comparison.alone(workload.name, dict.fromkeys(duel.strategy for duel in found))
    results = comparison.results(options.quick, options.pairs)
    if options.instructions or is_whole(options):
        results["instructions"] = count_instructions()
    return results


def so_far(options: argparse.Namespace) -> Path:
    """Written after every pair, so that an interrupted comparison is not lost."""
    return DATA / ("results-quick-so-far.json" if options.quick else "results-so-far.json")


def count_instructions() -> int | None:
    """Of the small replay, whatever the scale of the comparison."""
    workload = QUICK[1]
    root = prepare(DATA / "quick", workload)
    run(TAPEDECK, own_python(), root, workload.name, "none", 0)  # its index is built
    say("counting instructions")
    found = replay_instructions(root)
    say("there is no valgrind" if found is None else f"{found:,} instructions")
    return found


def judge(path: Path, results: dict[str, Any]) -> int:
    """Exit code against the ratios that are committed; says what fell."""
    before = json.loads(path.read_text("utf-8"))
    lines, compared = slower(before["ratios"], results["ratios"])
    for line in lines:
        say(f"slower: {line}")
    say(f"{compared} ratios compared with {path.name}, {len(lines)} fell by more than 20 %")
    grown = grown_instructions(before, results)
    if grown is not None:
        say(f"more: {grown}")
    return 1 if lines or grown or not compared else 0


def grown_instructions(before: dict[str, Any], now: dict[str, Any]) -> str | None:
    """None where either was not counted, or on other versions."""
    was, count = before.get("instructions"), now.get("instructions")
    if not was or not count or packages(before) != packages(now):
        return None
    return more(was, count)


def packages(results: dict[str, Any]) -> dict[str, str]:
    """What this project ran on, without its own version."""
    found: dict[str, str] = results["versions"].get(OURS, {})
    return {name: version for name, version in found.items() if name != OURS}


def read_options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small workloads, few peers, one pair")
    parser.add_argument("--check", action="store_true", help="fail where a committed ratio fell")
    parser.add_argument("--pairs", type=int, help="default 5; --quick 1, with --check 3")
    parser.add_argument("--uncut", action="store_true", help="slow peers run whole workloads too")
    parser.add_argument("--seconds", type=float, help="after which no pair is begun; --quick 120")
    parser.add_argument("--workloads", default="", help="W1,W2,W3")
    parser.add_argument("--strategies", default="", help="none,count,sma,slice")
    parser.add_argument("--engines", default="", help="what their names begin with")
    parser.add_argument("--instructions", action="store_true", help="count them too, by valgrind")
    parser.add_argument("--output", type=Path, help="where the results go")
    options = parser.parse_args(argv)
    options.pairs = options.pairs or (PAIRS if not options.quick else 3 if options.check else 1)
    if options.seconds is None and options.quick and not options.check:
        options.seconds = QUICK_S
    return options


def is_whole(options: argparse.Namespace) -> bool:
    """Whether it is the comparison that is published."""
    narrow = options.workloads or options.strategies or options.engines or options.pairs < PAIRS
    return not (options.quick or options.uncut or narrow)


def main(argv: Sequence[str] | None = None) -> int:
    options = read_options(argv)
    committed = QUICK_RESULTS if options.quick else RESULTS
    if options.check and not committed.is_file():
        say(f"there is no {committed.name} to compare with")
        return 2
    work = list(chosen(options))
    if not work:
        say("nothing fits --workloads, --strategies and --engines")
        return 2
    try:
        results = compare(options, work)
    except RunFailed as error:
        say(f"tapedeck failed: {error}; what was measured before is in {so_far(options)}")
        return 1
    except KeyboardInterrupt:
        say(f"interrupted; what was measured is in {so_far(options)}")
        return 130
    sys.stdout.write(table(results) + "\n")
    if options.check:
        return judge(committed, results)
    path = options.output or (RESULTS if is_whole(options) else DATA / committed.name)
    write(path, results)
    say(f"written to {path}")
    if path == RESULTS:
        write_page(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
