"""A short soak: the digests of a straight run, and threads, files and memory that come back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.reliability import soak as module
from tests.reliability.place import Use
from tests.reliability.rounds import Round, WrongError, follow
from tests.reliability.soak import POOLED, Soak, Wish, main, soak

SHORT = Wish(seconds=60, sessions=6, clients=4, seed=3)


def test_a_short_one(tmp_path: Path) -> None:
    figures = soak(SHORT, tmp_path / "work")
    assert figures["sessions"] == SHORT.sessions
    assert figures["done"]["seek 200"] > 0
    assert figures["done"]["frames"] > 0
    before, after = figures["files"]
    assert after <= before + POOLED


def test_what_is_wrong_is_told_with_what_repeats_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Round, "play", lambda *_: ("other", None))
    monkeypatch.setattr(module, "WARM_ROUNDS", 0)
    monkeypatch.setattr(sys, "argv", ["soak", "--seed", "9", "--first", "4", "--clients", "2"])
    assert main() == 1
    said = capsys.readouterr().err
    assert "session 4: digests ('other', None) are not those of a straight run" in said
    assert "scripts/soak --seed 9 --clients 2 --first 4 --sessions 1" in said


@pytest.mark.parametrize(
    ("last", "found", "then"),
    [
        (4, {"type": "slices", "prev_seq": 4, "seqs": [5, 9]}, 9),
        (4, {"type": "slices", "prev_seq": 3, "seqs": [5, 9]}, WrongError),
        (4, {"type": "snapshot", "seq": 2}, 2),
        (4, {"type": "status", "why": "session"}, 0),
        (4, {"type": "status", "why": "state"}, 4),
        (None, {"type": "slices", "prev_seq": 3, "seqs": [5]}, 5),
    ],
)
def test_a_hole_would_be_seen(last: int | None, found: dict[str, Any], then: Any) -> None:
    if then is WrongError:
        with pytest.raises(WrongError, match="3 follows 4"):
            follow(last, found)
    else:
        assert follow(last, found) == then


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (Use(0, 0, 2000), "memory_kb grows: by 40000"),
        (Use(1, 0, 0), "threads grows: by 20"),
        (Use(0, 1, 0), "files grows: by 20"),
    ],
)
def test_what_grows_would_be_seen(step: Use, said: str) -> None:
    one: Any = object.__new__(Soak)
    start = Use(10, 10, 100_000)
    one.uses = [Use(*(a + n * b for a, b in zip(start, step, strict=True))) for n in range(40)]
    with pytest.raises(WrongError, match=said):
        one._check_flat()
    one.uses = [start] * 40
    one._check_flat()
