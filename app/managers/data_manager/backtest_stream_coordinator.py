"""The coordinator: merges all streams by release time and moves the clock.

It is the only writer of the clock and of the session data. Its merge thread
(``BacktestStreamWorker``) takes what the queues hold up to their common horizon,
walks it by slices, commits each view and hands windows to the consumers; its
clock thread (``BacktestClockWorker``, at speed > 0) moves now between slices.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from threading import Condition, Lock, Thread, current_thread

from app.errors import StateError
from app.managers.data_manager.commands import Command, CommandQueue, Outcome, Unit
from app.managers.data_manager.data_upkeep_thread import DataUpkeepThread
from app.managers.data_manager.delivery import Delivery, MergedStream
from app.managers.data_manager.feeding import Feeding
from app.managers.data_manager.merge import Chunk, StreamStats
from app.managers.data_manager.playback import Act, Move, Position, decide
from app.managers.data_manager.session_data import SessionData
from app.managers.lifecycle import ENDED, State, check_move
from app.managers.time_manager import TimeManager, View, Wall
from app.model import Dictionary, Window, empty_items
from app.runs.digest import DeliveredWords, Digest
from app.times import SECOND_NS

log = logging.getLogger(__name__)

_TICK_NS = SECOND_NS // 100
_JOIN_S = 2.0
_live: list[BacktestStreamCoordinator] = []
_live_lock = Lock()


def get_coordinator() -> BacktestStreamCoordinator:
    """The live coordinator of this process; StateError where there is none."""
    with _live_lock:
        if not _live:
            raise StateError("no coordinator is live in this process; start a session", "STOPPED")
        return _live[0]


class BacktestStreamCoordinator(Feeding):
    """One live per process: a second one raises until the first is closed."""

    def __init__(
        self,
        time_manager: TimeManager,
        data: SessionData,
        *,
        speed: float = 0.0,
        start_ns: int | None = None,
        counted_from_ns: int | None = None,
        words: Dictionary | None = None,
        queue_rows: int = 1_000_000,
        wall: Wall | None = None,
        start_paused: bool = False,
    ) -> None:
        with _live_lock:
            if _live:
                raise StateError("a coordinator is live in this process; close it first", "LIVE")
            _live.append(self)
        days = time_manager.days
        first = days[time_manager.first_day]
        self.start_ns = first.first_ns if start_ns is None else start_ns
        self._changed = Condition()
        counted = self.start_ns if counted_from_ns is None else counted_from_ns
        super().__init__(self._changed, time_manager, data, counted, queue_rows, words)
        self.time_manager, self.data = time_manager, data
        self.delivery = Delivery()
        self.error: BaseException | None = None
        self.items_delivered = 0
        self._wall = wall or Wall()
        self._clock = time_manager.take_writer(self._wall, speed)
        self._words = DeliveredWords(self.source_words)
        self._digest = Digest(data.symbols, self._words.delivered)
        self._commands = CommandQueue()
        self._state = State.STARTING
        self._start_paused = start_paused
        self._step: Command | None = None
        self._chunk = Chunk(empty_items())
        self._day_over = False
        self._rolls_ready = 0
        self._held_since_ns: int | None = None
        self._stopping = False
        self._started = False
        self._clock_thread: Thread | None = None
        self._worker = Thread(target=self._merge_worker, name="BacktestStreamWorker", daemon=True)

    # -- seen from outside -------------------------------------------------------------

    @property
    def state(self) -> State:
        return self._state

    @property
    def view(self) -> View:
        return self.time_manager.view

    @property
    def speed(self) -> float:
        return self._clock.speed

    @property
    def delivered_words(self) -> Dictionary:
        """The words of ticks in windows."""
        return self._words.delivered

    def lag_ns(self) -> int:
        """How far the clock is behind its schedule; 0 unless it runs at speed > 0."""
        with self._changed:
            if self._state is not State.RUNNING or not self._clock.speed or self._step is not None:
                return 0
            due = self._chunk.next_ns
            bound = self.merger.merged_through_ns if due is None else due
            end = self.time_manager.days[self.view.day].end_ns
            return max(0, self._clock.scheduled_ns() - min(bound, end))

    def get_queue_stats(self) -> list[StreamStats]:
        """Of every stream: queued rows, their times, how far complete, delivered rows."""
        with self._changed:
            return self.merger.stats(self._chunk.waiting, self.data.symbols)

    def get_merged_stream(self) -> MergedStream:
        """An iterator over every slice from now on; the clock waits for its reader."""
        stream = MergedStream(self.wake)
        self.delivery.attach(stream)
        return stream

    def wake(self) -> None:
        """Look again: a consumer that held the clock may have room."""
        with self._changed:
            self._changed.notify_all()

    # -- life ----------------------------------------------------------------------------

    def attach_upkeep(self, upkeep: DataUpkeepThread) -> None:
        """Let ``upkeep`` derive bars and close days; before any stream is fed."""
        self.upkeep = upkeep
        for stream in upkeep.derived_streams:
            self.register_derived(stream)

    def start_worker(self) -> None:
        """Start the threads. Once; StateError afterwards."""
        with self._changed:
            if self._started:
                raise StateError("the worker was started already", self._state)
            self._started = True
        if self.upkeep is not None:
            self.upkeep.start()
        self._worker.start()
        self._ensure_clock_thread()

    def wait_started(self, timeout_s: float | None = None) -> State:
        """Wait until look-back is loaded and the first view is committed (or it failed)."""
        with self._changed:
            self._changed.wait_for(lambda: self._state is not State.STARTING, timeout_s)
            return self._state

    def wait_ended(self, timeout_s: float | None = None) -> bool:
        """Wait until the session has ended; False on a timeout."""
        with self._changed:
            return self._changed.wait_for(lambda: self._state in ENDED, timeout_s)

    def stop_worker(self) -> None:
        """Stop all threads; any thread, any number of times. What was delivered stays readable."""
        with self._changed:
            self._stopping = True
            if not self._started:
                self._state = State.STOPPED
            elif self._state not in (*ENDED, State.STOPPING):
                self._state = State.STOPPING
            self.close_feeding()
            self._changed.notify_all()
        if self.upkeep is not None:
            self.upkeep.stop()
        for thread in (self._worker, self._clock_thread, self.upkeep):
            if thread is not None and thread.is_alive() and thread is not current_thread():
                thread.join(_JOIN_S)

    def close(self) -> None:
        """Stop, and let another coordinator be made."""
        self.stop_worker()
        with _live_lock:
            if self in _live:
                _live.remove(self)

    def fail(self, error: BaseException) -> None:
        """End as FAILED, with the first error as its cause; any thread."""
        with self._changed:
            if self.error is None and not self._stopping:
                self.error = error
            self._changed.notify_all()

    # -- commands ------------------------------------------------------------------------

    def pause(self) -> Future[Outcome]:
        """Pause between two slices; interrupts a step. StateError where it is illegal."""
        return self._submit("pause").future

    def resume(self) -> Future[Outcome]:
        return self._submit("resume").future

    def set_speed(self, speed: float) -> Future[Outcome]:
        return self._submit("speed", lambda c: setattr(c, "speed", speed)).future

    def step(self, unit: Unit, count: int) -> Future[Outcome]:
        """Deliver ``count`` units at speed 0, then pause; answered when done."""

        def fill(command: Command) -> None:
            command.unit, command.count = unit, count

        return self._submit("step", fill).future

    def next_number(self) -> int:
        """A number for a command that is carried out elsewhere (stop)."""
        with self._changed:
            return self._commands.next_number()

    def _submit(self, name: str, fill: Callable[[Command], None] | None = None) -> Command:
        with self._changed:
            if self._state in ENDED or self._stopping:
                raise StateError(f"the session is {self._state}: it takes no {name}", self._state)
            command = self._commands.put(name)
            if fill is not None:
                fill(command)
            self._changed.notify_all()
            return command

    def _apply_commands(self) -> list[str]:
        """Apply what waits, in order of arrival; what was changed. Under the lock."""
        changes: list[str] = []
        while command := self._commands.take():
            try:
                changes.append(self._apply(command))
            except StateError as error:
                command.refuse(error)
                continue
            if command is not self._step:
                command.answer(self.view.now_ns, self.view.seq, self._state)
        return changes

    def _apply(self, command: Command) -> str:
        if command.name == "speed":
            self._clock.set_speed(command.speed)
            self._ensure_clock_thread()
            return "speed"
        if command.name == "pause":
            self._move(State.PAUSED)
            if self._step is not None:
                self._answer_step(interrupted=True)
        else:
            self._move(State.RUNNING)
            self._clock.anchor(self.view.now_ns)
            self._held_since_ns = None
            if command.name == "step":
                self._step = command
        return "state"

    def _move(self, state: State) -> None:
        check_move(self._state, state)
        self._state = state
        self._changed.notify_all()

    def _answer_step(self, interrupted: bool = False) -> None:
        step, self._step = self._step, None
        if step is not None:
            step.answer(self.view.now_ns, self.view.seq, self._state, interrupted)

    # -- the merge thread ----------------------------------------------------------------

    def _merge_worker(self) -> None:
        try:
            if self._start_up():
                while self._advance():
                    pass
        except Exception as error:
            log.exception("the merge thread failed")
            self.fail(error)
        self._finish()

    def _start_up(self) -> bool:
        """Load look-back, silently; then the first view. False where stopped or failed."""
        last_ns = self.start_ns - 1
        while True:
            self._fetch(last_ns)
            with self._changed:
                if self._over():
                    return False
                loaded = self.merger.merged_through_ns >= last_ns
                if loaded and self._rolls_ready >= self.time_manager.first_day:
                    break
                if loaded or not self.merger.can_merge:
                    self._changed.wait()
        with self._changed:
            view = View(1, 0, self.time_manager.first_day, last_ns, self._digest.text())
            self._clock.commit(view)
            self._clock.anchor(last_ns)
            self._move(State.PAUSED if self._start_paused else State.RUNNING)
        self.delivery.state(self._state, self.view, "state")
        return True

    def _over(self) -> bool:
        return self._stopping or self.error is not None

    def _advance(self) -> bool:
        """One move of the merge thread. False when the session is over."""
        if self._chunk.next_ns is None:
            self._fetch(None)
        with self._changed:
            if self._over():
                return False
            changes = self._apply_commands()
            if not changes:
                move = self._next_move()
                if move.act is Act.WAIT:
                    self._wall.wait(self._changed, move.deadline_ns)
                    return True
        if changes:
            for why in changes:
                self.delivery.state(self._state, self.view, why)
            return True
        if move.act is Act.DELIVER:
            self._deliver(move.time_ns)
        elif move.act is Act.STAND:
            self._stand(move.time_ns)
        elif move.act is Act.END_DAY:
            self._end_day(move.time_ns)
        elif move.act is Act.ROLL:
            return self._roll()
        return True

    def _next_move(self) -> Move:
        if self._state is not State.RUNNING:
            return Move(Act.WAIT)
        held_s = self.delivery.held_s()
        if held_s is not None:
            if self._held_since_ns is None:
                self._held_since_ns = self._wall.now_ns()
            return Move(Act.WAIT, deadline_ns=self._wall.now_ns() + int(held_s * SECOND_NS))
        if self._held_since_ns is not None:
            self._clock.hold(self._held_since_ns)
            self._held_since_ns = None
        view = self.view
        position = Position(
            view,
            self.time_manager.days[view.day],
            self._chunk.next_ns,
            self.merger.merged_through_ns,
            self.merger.can_merge,
            self._day_over,
            self.upkeep is None or self._rolls_ready > view.day,
        )
        return decide(position, self._clock, self._step)

    def _fetch(self, limit_ns: int | None) -> None:
        """Merge the next chunk. Rows before the start are look-back: readable, not delivered."""
        with self._changed:
            if not self.merger.can_merge:
                return
            merge = self.merger.take(limit_ns if limit_ns is not None else 2**63 - 1)
            self._make_room()
        for stream, items in merge.parts:
            self.data.append(stream, items)
        if limit_ns is not None:
            return
        items = merge.items()
        self._words.renumber(items)
        items.flags.writeable = False
        chunk = Chunk(items)
        with self._changed:
            self._chunk = chunk
            self.merger.count_delivered(merge.parts)

    def _deliver(self, limit_ns: int) -> None:
        """Deliver one window: digest, commit, consumers."""
        chunk, view = self._chunk, self.view
        most = self._step.count if self._step and self._step.unit is Unit.SLICE else None
        end = chunk.upto(limit_ns, self.delivery.window_rows(), most)
        low, bounds = int(chunk.bounds[chunk.at]), chunk.bounds[chunk.at : end + 1]
        items = chunk.items[low : int(bounds[-1])]
        window = Window(
            view.epoch, view.day, view.seq + 1, chunk.times_ns[chunk.at : end], bounds - low, items
        )
        self._digest.add(items)
        with self._changed:
            self.items_delivered += len(items)
            chunk.at = end
            self._commit(int(window.times_ns[-1]), window.last_seq)
        self.delivery.window(window, self.view)
        if most is not None:
            self._count_step(len(window.times_ns))

    def _commit(self, now_ns: int, seq: int | None = None, day: int | None = None) -> None:
        """Publish the next view; under the lock."""
        view = self.view
        self._clock.commit(
            View(
                view.epoch,
                view.seq if seq is None else seq,
                view.day if day is None else day,
                max(now_ns, view.now_ns),
                self._digest.text(),
            )
        )

    def _stand(self, time_ns: int) -> None:
        with self._changed:
            self._commit(time_ns)
        self._count_step(1)

    def _count_step(self, done: int) -> None:
        """Count a step down; at its end the session is PAUSED again."""
        with self._changed:
            if self._step is None:
                return
            self._step.count -= done
            if self._step.count > 0:
                return
            self._move(State.PAUSED)
            self._answer_step()
        self.delivery.state(self._state, self.view, "state")

    def _end_day(self, end_ns: int) -> None:
        """Everything up to the day's end is delivered; the roll comes next."""
        with self._changed:
            self._commit(end_ns)
            self._day_over = True
            last = self.view.day + 1 == len(self.time_manager.days)
        self.delivery.state(self._state, self.view, "day_end")
        if not last and self._step is not None and self._step.unit is Unit.DAY:
            self._count_step(1)

    def _roll(self) -> bool:
        """Go to the next day, just before its first instant. False after the last day."""
        with self._changed:
            self._day_over = False
            day = self.view.day + 1
            if day == len(self.time_manager.days):
                self._move(State.COMPLETED)
                return False
            self._digest.end_day()
            self._commit(self.time_manager.days[day].first_ns - 1, day=day)
            self._clock.anchor(self.view.now_ns)
        self.delivery.state(self._state, self.view, "day")
        return True

    def _finish(self) -> None:
        """The last act of the merge thread: the final state, and an answer for all who wait."""
        with self._changed:
            if self.error is not None:
                self._state = State.FAILED
            elif self._state is not State.COMPLETED:
                self._state = State.STOPPED
            self._answer_step(interrupted=self._state is not State.COMPLETED)
            self._commands.refuse_all(self._state)
            self.close_feeding()
            self._changed.notify_all()
        try:
            self.delivery.state(self._state, self.view, "end")
        except Exception:
            log.exception("a consumer failed at the session's end")

    def request_roll(self, day: int) -> None:
        """The upkeep thread has the day's record: it may be rolled once it is over."""
        with self._changed:
            self._rolls_ready = day + 1
            self._changed.notify_all()

    # -- the clock thread ----------------------------------------------------------------

    def _ensure_clock_thread(self) -> None:
        with self._changed:
            if self._clock_thread is not None or not self._clock.speed or not self._started:
                return
            thread = Thread(target=self._clock_worker, name="BacktestClockWorker", daemon=True)
            self._clock_thread = thread
        thread.start()

    def _clock_worker(self) -> None:
        """Move now between slices, 100 times a second, never onto what is undelivered."""
        try:
            with self._changed:
                while not self._over() and self._state not in ENDED:
                    runs = self._state is State.RUNNING and self._clock.speed > 0
                    if runs and self._step is None and self._held_since_ns is None:
                        self._tick()
                    until_ns = self._wall.now_ns() + _TICK_NS if runs else None
                    self._wall.wait(self._changed, until_ns)
        except Exception as error:
            log.exception("the clock thread failed")
            self.fail(error)

    def _tick(self) -> None:
        next_ns = self._chunk.next_ns
        bound = self.merger.merged_through_ns if next_ns is None else next_ns - 1
        now_ns = min(
            self._clock.scheduled_ns(), bound, self.time_manager.days[self.view.day].end_ns - 1
        )
        if now_ns > self.view.now_ns and not self._day_over:
            self._clock.commit(self.view._replace(now_ns=now_ns))
