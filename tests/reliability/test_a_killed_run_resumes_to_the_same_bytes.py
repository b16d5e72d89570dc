"""kill -9 in the middle of each deed; ``python -m tests.reliability.killed 200`` does it by hand,
as often as wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.killed import DEEDS, LATE, Bench, deed_of
from tests.reliability.moments import Moment


@pytest.mark.parametrize("name", DEEDS)
def test_killed_in_its_middle(bench: Bench, name: str, tmp_path: Path) -> None:
    deed = deed_of(bench, name)
    met, _ = deed(tmp_path, Moment(0.3))
    assert met != LATE
