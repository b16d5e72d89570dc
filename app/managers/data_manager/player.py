"""The moves of the merge thread: merge a chunk, deliver a window, end a day, roll.

What to do next is decided in ``playback``; this does it. State is published
first (columns, digest, view), then consumers are told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Condition

from app.feed.queues import BEFORE_ALL_NS, Rows
from app.managers.data_manager.checkpoints import Checkpoint, Checkpoints
from app.managers.data_manager.commands import Unit
from app.managers.data_manager.control import Control
from app.managers.data_manager.delivery import Delivery
from app.managers.data_manager.feeding import Feeding
from app.managers.data_manager.fetching import Fetching, Taken
from app.managers.data_manager.goals import Place
from app.managers.data_manager.hashing import Hashing
from app.managers.data_manager.intake import AUCTION_GRACE_NS
from app.managers.data_manager.merge import Chunk
from app.managers.data_manager.playback import Act, Move, Position, decide
from app.managers.data_manager.session_data import SessionData
from app.managers.data_manager.worker import WindowWorker
from app.managers.lifecycle import State
from app.managers.time_manager import ClockWriter, TimeManager, View, Wall
from app.model import StreamType, Window, empty_items
from app.runs.digest import DeliveredWords, Digest
from app.times import MINUTE_NS, SECOND_NS

log = logging.getLogger(__name__)

_EVER_NS = 2**63 - 1


class Player:
    """Used by the merge thread; what other threads read is marked, and read under the lock."""

    def __init__(
        self,
        changed: Condition,
        time_manager: TimeManager,
        clock: ClockWriter,
        wall: Wall,
        feeding: Feeding,
        data: SessionData,
        control: Control,
        look_back_ns: int,
        fail: Callable[[BaseException], None],
    ) -> None:
        self.delivery = Delivery()
        self.words = DeliveredWords(feeding.source_words)
        self.chunk = Chunk(empty_items())  # read by others
        self.items_delivered = 0  # read by others
        self.rolls_ready = 0  # days whose record the upkeep thread has; written by others
        self.held_since_ns: int | None = None  # read by others
        self.known_ns = BEFORE_ALL_NS  # all released by then is delivered or in the chunk
        self.worker: WindowWorker | None = None
        self._timed_ns: int | None = None  # when the worker is due without data; read by others
        self._changed = changed
        self._time, self._clock, self._wall = time_manager, clock, wall
        self._feeding, self._merger, self._data = feeding, feeding.merger, data
        self._control = control
        self._look_back_ns = look_back_ns
        self._items_before_day = 0
        self._digest = Digest(data.symbols, self.words.delivered)
        self.hashing = Hashing(self._digest, fail)
        self.fetching = Fetching(changed, feeding.merger, feeding.make_room)
        self._checkpoints = Checkpoints(feeding.most_rows)
        control.rewind = self._rewind

    # -- start ---------------------------------------------------------------------------

    def load_look_back(self, over: Callable[[], bool]) -> bool:
        """Merge what was released before the start, silently; True when all of it is there."""
        taken = self.fetching.look_back(self._look_back_ns)
        if taken is not None:
            self._fill(taken)
        with self._changed:
            if taken is not None:
                self.known_ns = taken.through_ns
            loaded = self.known_ns >= self._look_back_ns
            if loaded and self.rolls_ready >= self._roll_needed(self._time.first_day):
                return True
            if not over() and (loaded or not self._merger.can_merge):
                self._wait_for(self._record_ns(self._time.first_day - 1) if loaded else 0)
                self._changed.wait()
            return False

    def _record_ns(self, day: int) -> int:
        """How far the sources must be known for a day's record: an auction may print late."""
        one = self._time.days[day]
        return max(one.end_ns, one.close_ns + AUCTION_GRACE_NS)

    def _wait_for(self, needed_ns: int) -> None:
        """Let the feeders read on past their bound as far as the merge needs; under the lock."""
        if needed_ns != self._feeding.needed_ns:
            self._feeding.needed_ns = needed_ns
            self._feeding.make_room()

    def _roll_needed(self, day: int) -> int:
        return day if self._feeding.upkeep is not None else 0

    def begin(self, paused: bool) -> None:
        """Commit the first view, just before the start."""
        now_ns = self._look_back_ns
        if self.worker is not None:
            self.worker.begin(self._time.first_day, now_ns)
        with self._changed:
            self.note_due()
            epoch = self._time.view.epoch
            self._clock.commit(View(epoch, 0, self._time.first_day, now_ns, self._digest))
            self._clock.anchor(now_ns)
            self._begin_checkpoints()
            self._control.move(State.PAUSED if paused else State.RUNNING)
        self.tell("state")

    def tell(self, why: str) -> None:
        self.delivery.state(self._control.state, self._time.view, why)

    # -- what next -----------------------------------------------------------------------

    def next_move(self) -> Move:
        """Under the lock; the act WAIT is to be waited for there."""
        if self._control.state is not State.RUNNING:
            self.held_since_ns = None
            return Move(Act.WAIT)
        held_s = self.delivery.held_s()
        if held_s is not None:
            now_ns = self._wall.now_ns()
            if self.held_since_ns is None:
                self.held_since_ns = now_ns
            return Move(Act.WAIT, deadline_ns=now_ns + int(held_s * SECOND_NS))
        if self.held_since_ns is not None:
            self._clock.hold(self.held_since_ns)
            self.held_since_ns = None
        view = self._time.view
        position = Position(
            view,
            self._time.days[view.day],
            self.chunk.next_ns,
            self.known_ns,
            self.fetching.can_fetch,
            self._control.day_over,
            self.rolls_ready >= self._roll_needed(view.day + 1),
            view.day + 1 == len(self._time.days) and not self._feeding.all_read,
            self._timed_ns,
            self._roll_ns() if self._control.day_over else BEFORE_ALL_NS,
        )
        step = self._control.step
        by_bar = step is not None and step.goal is None and step.unit is Unit.BAR
        if step is not None and by_bar and step.target_ns is None:
            step.target_ns = (view.now_ns // MINUTE_NS + 1) * MINUTE_NS
        if step is not None and step.goal is not None:
            step.goal.look(self.chunk, view, self.known_ns)
        move = decide(position, self._clock, step)
        known = position.next_ns is not None or position.known_ns >= position.day.end_ns
        needed_ns = 0
        if move.act is Act.WAIT and position.day_over:
            needed_ns = position.roll_ns
        elif move.act is Act.WAIT and known and not position.day_recorded:
            needed_ns = self._record_ns(view.day)
        self._wait_for(needed_ns)
        return move

    def _roll_ns(self) -> int:
        """Where the next day begins: just before its first instant, or where days touch on it."""
        view, days = self._time.view, self._time.days
        if view.day + 1 == len(days):
            return BEFORE_ALL_NS
        return max(days[view.day + 1].first_ns - 1, view.now_ns)

    def do(self, move: Move) -> bool:
        """Carry out a move; False when the last day is over."""
        if move.act is Act.ROLL:
            if not self._roll():
                return False
        elif move.act is Act.DELIVER:
            self._deliver(move.time_ns)
        elif move.act is Act.STAND:
            self._stand(move.time_ns)
        elif move.act is Act.ADVANCE:
            self._advance(move.time_ns)
            with self._changed:
                self._commit(move.time_ns)
        elif move.act is Act.END_DAY:
            self._end_day(move.time_ns)
        step = self._control.step
        if step is not None and step.goal is not None and step.goal.reached(self._control.place):
            self._count_step(1)
        return True

    # -- the moves -----------------------------------------------------------------------

    def fetch_when_empty(self) -> None:
        """Fetch the next chunk where the last one is used up."""
        if self.chunk.next_ns is None:
            found = self.fetching.fetch()
            if found is not None:
                self._adopt(*found)
        self.fetching.look_ahead()

    def _adopt(self, taken: Taken, rows: Rows) -> None:
        """A chunk is delivered from now on."""
        items = rows.items
        self._fill(taken)
        if taken.merge.words_known is not None:
            self.words.learn(taken.merge.words_known)
        elif any(stream.type is not StreamType.BAR for stream, _ in taken.merge.parts):
            self.words.renumber(items)
        items.flags.writeable = False
        chunk = Chunk(items, rows.release_ns)
        with self._changed:
            self.fetching.fetched()
            self.chunk = chunk
            self.known_ns = taken.through_ns
        if len(items) and self.worker is None:
            self._checkpoints.add(self._checkpoint())

    def _fill(self, taken: Taken) -> None:
        """Session data has all rows before the clock comes to them."""
        for stream, items in taken.fresh:
            self._data.append(stream, items)

    # -- back, within the day ----------------------------------------------------------------

    def _checkpoint(self) -> Checkpoint:
        view = self._time.view
        return Checkpoint(
            view.now_ns, view.seq, self.items_delivered, self._digest, self.chunk,
            self.chunk.at,
        )  # fmt: skip

    def _begin_checkpoints(self) -> None:
        """A day begins; under the lock."""
        if self.worker is not None:
            return
        self._checkpoints.begin_day(self._checkpoint())
        self._feeding.discards.begin_day(self._time.view.now_ns)

    def _rewind(self, place: Place) -> bool:
        """Set the clock back, and begin the next epoch; False where it cannot be. Under the lock.

        It cannot where somebody works windows off: what follows from them is not undone here.
        """
        view = self._time.view
        held = place.day == view.day and self._checkpoints.reaches(place.now_ns)
        if self.worker is not None or not held or not self._data.holds_today(view):
            return False
        found = self._checkpoints.rewind(place.now_ns)
        self.chunk, self._digest = found.chunk, found.digest
        self.items_delivered = found.items_delivered
        self._control.day_over = place.over
        self._feeding.discards.rewind()
        self._clock.commit(View(view.epoch + 1, found.seq, place.day, place.now_ns, self._digest))
        self.held_since_ns = None
        return True

    def _deliver(self, limit_ns: int) -> None:
        """Deliver one window: digest, commit, consumers."""
        chunk, view, step = self.chunk, self._time.view, self._control.step
        most = None
        if step is not None and step.goal is not None:
            most = 1 if step.goal.single else None
        elif step is not None and step.unit is Unit.SLICE:
            most = step.count
        end = self.delivery.cut(chunk, chunk.upto(limit_ns, self._window_rows(), most))
        first_ns, last_ns, low, high = chunk.span(end)
        items, times_ns = chunk.items[low:high], chunk.times_ns[chunk.at : end]
        bounds = chunk.bounds[chunk.at : end + 1] - low
        window = Window(
            view.epoch, view.day, view.seq + 1, times_ns, bounds, items, chunk.block, chunk.at
        )
        if first_ns <= view.now_ns:
            raise AssertionError(f"a slice of {first_ns} ns came behind now, {view.now_ns} ns")
        self._digest = self._digest.after(items)
        if self.worker is not None:
            self.worker.on_window(window)
        with self._changed:
            self.items_delivered += len(items)
            chunk.at = end
            self._commit(last_ns, seq=window.last_seq)
        self.delivery.window(window, self._time.view)
        self.hashing.reached(self._digest)  # nobody waits for it any more
        if most is not None and step is not None and step.goal is None:
            self._count_step(len(times_ns))

    def _window_rows(self) -> int | None:
        rows = self.delivery.window_rows()
        mine = None if self.worker is None else self.worker.window_rows()
        return rows if mine is None else mine if rows is None else min(rows, mine)

    def _advance(self, time_ns: int) -> None:
        if self.worker is not None:
            self.worker.advance(time_ns)

    def _stand(self, time_ns: int) -> None:
        self._advance(time_ns)
        with self._changed:
            self._commit(time_ns)
            self._aim_anew()
        step = self._control.step
        if step is not None and step.goal is None:
            self._count_step(1)

    def _aim_anew(self) -> None:
        if self._control.step is not None:
            self._control.step.target_ns = None

    def _end_day(self, end_ns: int) -> None:
        """Everything up to the day's end is delivered; the roll comes next."""
        if self.worker is not None:
            self.worker.end_day(self._time.view.day, end_ns)
        with self._changed:
            self._commit(end_ns)
            self._control.day_over = True
            if self.items_delivered == self._items_before_day:
                log.info("trading day %s had no data", self._time.days[self._time.view.day].date)
            last = self._time.view.day + 1 == len(self._time.days)
        self.tell("day_end")
        step = self._control.step
        if last or step is None or step.goal is not None or step.unit is not Unit.DAY:
            return
        if step.began != self._time.view:  # else it began on this end: it goes on to the next
            self._count_step(1)

    def _roll(self) -> bool:
        """Go to the next day, just before its first instant. False after the last day."""
        day = self._time.view.day + 1
        if day == len(self._time.days):
            return False
        first_ns = self._roll_ns()
        if self.worker is not None:
            self.worker.open_day(day, first_ns)
        with self._changed:
            self._control.day_over = False
            self._digest = self._digest.after_day()
            self._items_before_day = self.items_delivered
            self._commit(first_ns, day=day)
            self._clock.anchor(self._time.view.now_ns)
            self._begin_checkpoints()
            self._aim_anew()
        log.info("trading day %s begins", self._time.days[day].date)
        self.tell("day")
        return True

    def _count_step(self, done: int) -> None:
        if self._control.count_step(done):
            self.tell("state")

    def _commit(self, now_ns: int, seq: int | None = None, day: int | None = None) -> None:
        """Publish the next view; under the lock."""
        view = self._time.view
        self.note_due()
        self._clock.commit(
            View(
                view.epoch,
                view.seq if seq is None else seq,
                view.day if day is None else day,
                now_ns,
                self._digest,
            )
        )

    def note_due(self) -> None:
        """The worker may be due at another time than before; under the lock."""
        self._timed_ns = None if self.worker is None else self.worker.due_ns()

    # -- the clock thread ----------------------------------------------------------------

    def tick(self) -> None:
        """Move now to its scheduled time, but not onto what is undelivered. Under the lock."""
        control = self._control
        if control.step is not None or self.held_since_ns is not None or control.day_over:
            return
        view = self._time.view
        bound_ns = min(self._due_ns() - 1, self._time.days[view.day].end_ns - 1)
        now_ns = min(self._clock.scheduled_ns(), bound_ns)
        if now_ns > view.now_ns:
            self._clock.commit(view._replace(now_ns=now_ns))

    def _due_ns(self) -> int:
        """Release of the next slice or what else is due, as far as it is known."""
        next_ns = self.chunk.next_ns
        due_ns = self.known_ns + 1 if next_ns is None else next_ns
        return due_ns if self._timed_ns is None else min(due_ns, self._timed_ns)

    def lag_ns(self) -> int:
        """The wall time that the clock is behind its schedule; under the lock."""
        running = self._control.state is State.RUNNING and self._control.step is None
        if not running or not self._clock.speed or self.held_since_ns is not None:
            return 0
        due_ns = min(self._due_ns(), self._time.days[self._time.view.day].end_ns)
        behind_ns = max(0, self._clock.scheduled_ns() - due_ns)
        return int(min(behind_ns / self._clock.speed, _EVER_NS))
