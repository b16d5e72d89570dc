"""Who takes part, in which modes, and at which work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
PEERS = HERE / "peers"
OURS = "tapedeck"
LIMIT = "limit-"


class Engine(NamedTuple):
    """A name in the results; ``peer`` is its environment, None for the project's own."""

    name: str
    script: Path
    peer: str | None
    mode: str
    work: Mapping[str, tuple[str, ...]]  # strategies by workload
    quick: tuple[str, ...] = ()  # which of them --quick runs
    runs_part: bool = False  # of the full workloads, unless --uncut

    @property
    def is_limit(self) -> bool:
        return self.name.startswith(LIMIT)


class Duel(NamedTuple):
    """Two runs, one right after the other: this project's, then that of what it is held against."""

    workload: str
    strategy: str
    other: Engine
    other_strategy: str


def _peer(
    name: str, script: str, work: Mapping[str, tuple[str, ...]], mode: str = "",
    quick: tuple[str, ...] = (), runs_part: bool = False,
) -> Engine:  # fmt: skip
    full_name = f"{name}-{mode}" if mode else name
    return Engine(full_name, PEERS / script, name, mode, work, quick, runs_part)


def _on(workloads: str, *strategies: str) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(workloads.split(), strategies)


_BOTH = ("count", "sma")
_ALL = "W1 W2 W3"
TAPEDECK = Engine(
    OURS, HERE / "own.py", None, "",
    _on(_ALL, "none", *_BOTH) | _on("W2", "none", *_BOTH, "slice"),
    ("sma",),  # against which the slice is held
)  # fmt: skip
LIMITS = tuple(
    Engine(f"{LIMIT}{mode}", HERE / "limits.py", None, mode, _on(_ALL, "none"), quick)
    for mode, quick in (("read", ("none",)), ("sort", ()), ("copy", ()))
)
# With bar execution off market orders on bars find no price, and ticks are none of its business.
# zipline-reloaded runs the whole: what its bundle takes goes by symbols more than by rows.
OTHERS = (
    _peer("nautilus_trader", "run_nautilus.py", _on(_ALL, *_BOTH), "", ("sma",), runs_part=True),
    _peer(
        "nautilus_trader", "run_nautilus.py", _on("W1 W2", "count"), "no-bar-execution",
        runs_part=True,
    ),
    _peer("backtesting", "run_backtesting.py", _on("W1", *_BOTH), quick=_BOTH),
    _peer("backtrader", "run_backtrader.py", _on("W1 W2", *_BOTH), runs_part=True),
    _peer("zipline-reloaded", "run_zipline.py", _on("W1 W2", *_BOTH)),
    _peer("hftbacktest", "run_hftbacktest.py", _on("W3", *_BOTH), quick=_BOTH),
)  # fmt: skip


def duels(workload: str, is_quick: bool) -> list[Duel]:
    """All of a workload, in the order they are run; against itself where it has two ways."""
    found = [
        Duel(workload, strategy, other, strategy)
        for other in (*LIMITS, *OTHERS)
        for strategy in other.work.get(workload, ())
    ]
    if "slice" in TAPEDECK.work[workload]:
        found.append(Duel(workload, "slice", TAPEDECK, "sma"))
    return [d for d in found if not is_quick or d.other_strategy in d.other.quick]
