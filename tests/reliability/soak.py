"""Sessions at random speeds with seeks, pauses, clients and faults, for as long as is asked:
every digest that of a straight run, and memory, threads and files flat."""

from __future__ import annotations

import argparse
import json
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from tests.reliability.place import ServerProcess, Use
from tests.reliability.rounds import Round, WrongError, make_server

WARM_ROUNDS = 4
POOLED = 8  # threads and files that pools take when they first need them
# How far the last quarter may lie above the second: an allocator's moods, a pool's last thread.
GROWTH = Use(threads=1, files=1, memory_kb=30_000)


class Wish(NamedTuple):
    """How long, how much, and which dice."""

    seconds: float
    sessions: int
    clients: int
    seed: int
    first: int = 0  # the number of the first session


class Soak:
    """One server, many sessions."""

    def __init__(self, server: ServerProcess, wish: Wish) -> None:
        self._server, self._wish = server, wish
        self.counts: Counter[str] = Counter()
        self.uses: list[Use] = []

    def run(self) -> dict[str, Any]:
        """The figures; WrongError, with what repeats it, at the first thing that is wrong."""
        wish = self._wish
        truth = [self._round(-1).straight(trading) for trading in (False, True)]
        for number in range(WARM_ROUNDS):
            self._round(-2 - number).play(bool(number % 2), wish.clients)
        before = self._settled()
        began_s = told_s = time.monotonic()
        for number in range(wish.first, wish.first + wish.sessions):
            if time.monotonic() - began_s > wish.seconds:
                break
            try:
                self._play(number, truth)
                self._server.comes_back_to(self._bound(before))
            except Exception as error:
                raise WrongError(
                    f"session {number}: {error}\nagain: scripts/soak --seed {wish.seed} "
                    f"--clients {wish.clients} --first {number} --sessions 1"
                ) from error
            self.uses.append(self._server.use)
            if time.monotonic() - told_s > 60:
                told_s = time.monotonic()
                print(self._line(told_s - began_s), file=sys.stderr, flush=True)  # noqa: T201
        self._check_flat()
        return self._figures(before, time.monotonic() - began_s)

    def _round(self, number: int) -> Round:
        dice = random.Random(f"{self._wish.seed} {number}")
        return Round(self._server, dice, self.counts)

    def _play(self, number: int, truth: list[tuple[str, str | None]]) -> None:
        one = self._round(number)
        trading = number % 2 == 1
        found = one.play(trading, self._wish.clients)
        if found != truth[trading]:
            raise WrongError(f"digests {found} are not those of a straight run, {truth[trading]}")
        if number % 20 == 19 and one.run() != truth[True]:
            raise WrongError("a run in its own process has other digests")

    def _settled(self) -> Use:
        """Once the clients of before have gone."""
        least = self._server.use
        for _ in range(100):
            time.sleep(0.02)
            now = self._server.use
            least = Use(*map(min, least, now))
        return least._replace(memory_kb=self._server.use.memory_kb)

    def _bound(self, before: Use) -> Use:
        """After each session nearly as before; growth is judged over all of them."""
        return Use(before.threads + POOLED, before.files + POOLED, self._server.use.memory_kb)

    def _check_flat(self) -> None:
        quarter = len(self.uses) // 4
        if quarter < 2:
            return
        for name in Use._fields:
            held = [getattr(use, name) for use in self.uses]
            grown = median(held[-quarter:]) - median(held[quarter : 2 * quarter])
            if grown > getattr(GROWTH, name):
                raise WrongError(f"{name} grows: by {grown:.0f} from the 2nd quarter to the last")

    def _line(self, elapsed_s: float) -> str:
        use = self.uses[-1]
        return (
            f"{elapsed_s:6.0f} s  {len(self.uses)} sessions  {use.memory_kb / 1024:.0f} MiB  "
            f"{use.threads} threads  {use.files} files"
        )

    def _figures(self, before: Use, elapsed_s: float) -> dict[str, Any]:
        memory = [use.memory_kb // 1024 for use in self.uses] or [0]
        quarter = max(1, len(memory) // 4)
        return {
            "seed": self._wish.seed, "seconds": round(elapsed_s), "sessions": len(self.uses),
            "memory_mib": {
                "after the first quarter": median(memory[:quarter]),
                "in the last quarter": median(memory[-quarter:]), "most": max(memory),
            },
            "threads": [before.threads, self.uses[-1].threads if self.uses else None],
            "files": [before.files, self.uses[-1].files if self.uses else None],
            "done": dict(sorted(self.counts.items())),
        }  # fmt: skip


def soak(wish: Wish, work: Path) -> dict[str, Any]:
    """The figures of a soak in an empty folder."""
    server = make_server(work)
    try:
        return Soak(server, wish).run()
    finally:
        server.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600, help="at most (an hour)")
    parser.add_argument("--sessions", type=int, default=1_000_000, help="at most")
    parser.add_argument("--clients", type=int, default=6, help="of each session")
    parser.add_argument("--seed", type=int, default=None, help="of all dice, to repeat a soak")
    parser.add_argument("--first", type=int, default=0, help="number of the first session")
    given = parser.parse_args()
    seed = secrets.randbelow(10**6) if given.seed is None else given.seed
    wish = Wish(given.seconds, given.sessions, given.clients, seed, given.first)
    with tempfile.TemporaryDirectory(prefix="tapedeck-soak-") as work:
        try:
            figures = soak(wish, Path(work))
        except WrongError as error:
            print(f"soak: {error}", file=sys.stderr)  # noqa: T201
            return 1
    print(json.dumps(figures, indent=2))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
