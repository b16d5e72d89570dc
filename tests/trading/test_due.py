"""What is due: in order, and the first slice that it comes before."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.trading.due import Agenda, When

TIMES = st.integers(0, 30)


@given(st.lists(st.tuples(TIMES, st.sampled_from(When)), max_size=8), TIMES)
def test_what_is_due_comes_by_time_then_by_kind_then_as_asked_for(
    asked: list[tuple[int, When]], now_ns: int
) -> None:
    agenda = Agenda()
    for number, (at_ns, when) in enumerate(asked):
        agenda.add(at_ns, when, "x", str(number))
    taken = []
    while (due := agenda.take(now_ns, When.AFTER_SLICE)) is not None:
        taken.append((due.at_ns, due.when, int(due.token)))
    by_now = [
        (at_ns, when, number)
        for number, (at_ns, when) in enumerate(asked)
        if at_ns < now_ns or (at_ns == now_ns and when is not When.CLOSE)
    ]
    assert taken == sorted(by_now)


@given(
    st.lists(st.sets(TIMES, min_size=1, max_size=8), min_size=1, max_size=3),
    st.lists(st.tuples(TIMES, st.sampled_from(When)), max_size=6),
)
def test_the_next_slice_does_not_hang_on_what_was_asked_before(
    windows: list[set[int]], asked: list[tuple[int, When]]
) -> None:
    """It is asked for at every slice, while things come and are taken."""
    agenda, to_come, due = Agenda(), list(asked), set[tuple[int, When, int]]()
    for window in windows:
        times_ns = np.array(sorted(window), np.int64)
        for at, now_ns in enumerate(sorted(window)):
            if to_come and at % 2:
                agenda.add(*to_come.pop(), "x", str(len(to_come)))
                due.add((*asked[len(to_come)], -len(to_come)))
            if (taken := agenda.take(now_ns, When.BEFORE_SLICE)) is not None:
                due.remove((taken.at_ns, taken.when, -int(taken.token)))
            expected = len(times_ns)
            if due:
                at_ns, when, _ = min(due)
                until_ns = at_ns + (when is not When.BEFORE_SLICE)
                expected = max(at + 1, sum(time_ns < until_ns for time_ns in window))
            assert agenda.next_slice(times_ns, at) == expected
