"""A stream's columns show the same, whoever reads them when."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.managers.data_manager.session_data import StreamColumns
from app.model import Items
from tests.feed.fakes import bar_items

_parts = st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=90)


def _shown(columns: StreamColumns, now_ns: int, from_ns: int) -> list[int]:
    shown: Items = columns.visible(now_ns, from_ns)
    found: list[int] = shown["release_ns"].tolist()
    return found


@pytest.mark.parametrize("keep_rows", [None, 25])
@given(parts=_parts, kept=st.integers(0, 200))
def test_when_somebody_reads_changes_nothing(
    keep_rows: int | None, parts: list[tuple[int, bool]], kept: int
) -> None:
    seldom, always = StreamColumns(keep_rows), StreamColumns(keep_rows)
    last = 0
    for count, read in parts:
        items = bar_items(list(range(last + 1, last + count + 1)))
        last += count
        now = last
        for columns in (seldom, always):
            columns.append(items, now - kept, now)
        assert (
            _shown(always, now, now - kept)
            == list(range(max(1, now - kept), now + 1))[-(keep_rows or now) :]
        )
        if read:
            assert _shown(seldom, now, now - kept) == _shown(always, now, now - kept)
    for now in (last, last - 3):
        assert _shown(seldom, now, last - kept) == _shown(always, now, last - kept)


@given(parts=_parts, kept=st.integers(0, 200), now=st.integers(0, 400), span=st.integers(0, 60))
def test_what_was_released_and_the_newest_row_are_as_visible_shows_them(
    parts: list[tuple[int, bool]], kept: int, now: int, span: int
) -> None:
    columns, last = StreamColumns(), 0
    for count, read in parts:
        columns.append(bar_items(list(range(last + 1, last + count + 1))), last + count - kept, 0)
        last += count
        if read:
            columns.visible(last, 0)
    since = max(now - span, last - kept)
    released = [
        int(t) for part in columns.released(since, max(since, now)) for t in part["release_ns"]
    ]
    newest = columns.newest(now, last - kept)
    shown = _shown(columns, now, last - kept)
    assert released == [t for t in shown if t > since]
    assert shown[-1:] == ([] if newest is None else newest["release_ns"].tolist())


def test_rows_that_were_given_are_never_written_again() -> None:
    columns = StreamColumns()
    columns.append(bar_items([1, 2, 3]), 0, 3)
    first = columns.visible(3, 0)
    before = first.tobytes()
    for at in range(4, 2_000, 4):
        columns.append(bar_items(list(range(at, at + 4))), 0, at)
        assert len(columns.visible(at + 3, 0)) == at + 3
    assert first.tobytes() == before
    assert np.all(first["release_ns"] == [1, 2, 3])
