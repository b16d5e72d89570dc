"""However a session is carried out, it comes to one pair of digests, and to the same account."""

from __future__ import annotations

from pathlib import Path

from tests.reliability.cells import DIMENSIONS, cells
from tests.reliability.matrix import different, play

FEW = 1 + max(map(len, DIMENSIONS.values()))


def test_every_value_of_every_dimension(tmp_path: Path) -> None:
    wanted = cells(FEW, seed=1)
    for name, values in DIMENSIONS.items():
        assert {cell[name] for cell in wanted} == set(values), name
    found = list(play(wanted, tmp_path))
    assert len(found) == FEW
    assert different(found) == []
    assert {one["state"] for _, one in found} == {"COMPLETED"}
    assert len({one["items"] for _, one in found}) == 1
    assert len({one["events"] for _, one in found} - {None}) == 1


def test_a_difference_would_be_told() -> None:
    wanted = [cell | {"record": "kept"} for cell in cells(3, seed=2)]
    one = {"state": "COMPLETED", "items": "a", "events": "b", "tables": "c", "seen": "d"}
    (line,) = different(list(zip(wanted, [one, one, one | {"events": "x"}], strict=True)))
    assert line.startswith("events: {")
    unrecorded = wanted[1] | {"record": "none"}
    other = one | {"events": None, "tables": None, "seen": "x"}
    (line,) = different([(wanted[0], one), (unrecorded, other)])
    assert line.startswith("seen: {")
    killed = wanted[2] | {"record": "killed and resumed"}
    (line,) = different([(wanted[0], one), (killed, one | {"tables": "x", "seen": None})])
    assert line.startswith("tables: {")
