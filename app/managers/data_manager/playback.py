"""What to do next: the decision of the merge thread, made under the coordinator's lock.

Deliver slices, end the day, roll, stand on a minute, or wait. It only reads.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from app.calendar import TradingDay
from app.feed.queues import BEFORE_ALL_NS
from app.managers.data_manager.commands import Command
from app.managers.time_manager import ClockWriter, View


class Act(Enum):
    DELIVER = auto()  # slices released at or before time_ns
    END_DAY = auto()  # the clock stands on the day's end
    ROLL = auto()
    STAND = auto()  # a step by bar stands on its minute
    WAIT = auto()  # until deadline_ns of the wall, or until notified
    FETCH = auto()  # more can be merged
    ADVANCE = auto()  # something is due at time_ns, without data


class Move(NamedTuple):
    """One act; ``time_ns`` is market time, ``deadline_ns`` wall time."""

    act: Act
    time_ns: int = 0
    deadline_ns: int | None = None


class Position(NamedTuple):
    """Where playback stands."""

    view: View
    day: TradingDay
    next_ns: int | None  # release of the next merged slice
    known_ns: int  # everything released by then is merged
    can_fetch: bool
    day_over: bool  # the clock stood on this day's end
    day_recorded: bool  # the day's record is complete: what is read at its end never changes
    unread: bool  # the last day, and some source has not been read to its end
    timed_ns: int | None = None  # when the worker is due without data
    roll_ns: int = BEFORE_ALL_NS  # where the next day begins, if there is one


def decide(at: Position, clock: ClockWriter, step: Command | None) -> Move:
    """The next move of a RUNNING session."""
    if at.day_over:
        # Rows from before the next day's hours are counted there: they are to be known as well.
        if at.unread:
            return Move(Act.WAIT)
        return _wait(at) if at.known_ns < at.roll_ns else Move(Act.ROLL)
    event = _next_event(at, step)
    if step is None and clock.speed:
        event = _with_due(at, event)
    if event is None:
        return _wait(at)
    if step is not None or not clock.speed:
        limit = _step_target(at, step)
        if event.act is Act.DELIVER:
            last_ns = _last_ns(at)
            return event._replace(time_ns=last_ns if limit is None else min(limit, last_ns))
        return event
    scheduled = clock.scheduled_ns()
    if event.time_ns > scheduled:
        return Move(Act.WAIT, deadline_ns=clock.deadline_ns(event.time_ns))
    if event.act is Act.DELIVER:
        return event._replace(time_ns=min(_last_ns(at), scheduled))
    return event


def _wait(at: Position) -> Move:
    return Move(Act.FETCH if at.can_fetch and at.next_ns is None else Act.WAIT)


def _next_event(at: Position, step: Command | None) -> Move | None:
    """The next thing that happens in market time, None while the data for it is not there."""
    target = _step_target(at, step)
    if at.next_ns is not None and at.next_ns <= _last_ns(at):
        event = Move(Act.DELIVER, at.next_ns)
    elif at.next_ns is not None or at.known_ns >= at.day.end_ns:
        if not at.day_recorded:
            return None
        event = Move(Act.END_DAY, at.day.end_ns)
    elif target is not None and at.known_ns >= target:
        return Move(Act.STAND, target)
    else:
        return None
    # A step stands on its minute after all that was released in it, the day's last one too.
    if target is not None and event.time_ns >= target + (event.act is Act.DELIVER):
        return Move(Act.STAND, target)
    return event


def _with_due(at: Position, event: Move | None) -> Move | None:
    """What is due comes first where it is earlier and nothing unknown can come before it.

    At speed 0, and within a step, it needs no move of its own: it is done with the next one.
    """
    due_ns = at.timed_ns
    if due_ns is None or due_ns > at.day.end_ns or (event is not None and event.time_ns <= due_ns):
        return event
    if at.next_ns is None and at.known_ns < due_ns:
        return event
    return Move(Act.ADVANCE, max(due_ns, at.view.now_ns))


def _last_ns(at: Position) -> int:
    """The last time of the day that may be delivered: its very end only with its record."""
    return at.day.end_ns if at.day_recorded else at.day.end_ns - 1


def _step_target(at: Position, step: Command | None) -> int | None:
    """The time of the day that a step by bar, seek or run-to stands on next."""
    if step is not None and step.goal is not None:
        place = step.goal.place
        ahead = place is not None and place.day == at.view.day and not place.over
        return place.now_ns if place is not None and ahead else None
    if step is None or step.target_ns is None or step.target_ns > at.day.end_ns:
        return None
    return step.target_ns
