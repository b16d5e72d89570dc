"""The coordinator: merges all streams by release time and moves the clock.

It is the only writer of the clock and of the session data. Its merge thread
(``BacktestStreamWorker``) takes what the queues hold up to their common horizon,
walks it by slices, commits each view and hands windows to the consumers; its
clock thread (``BacktestClockWorker``, at speed > 0) moves now between slices.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Condition, Lock, Thread, current_thread
from typing import Any

from app.errors import StateError
from app.managers.data_manager.command_log import END, EPOCH, CommandLog, Ending, GuardedLog
from app.managers.data_manager.commanded import Commanded
from app.managers.data_manager.commands import Outcome
from app.managers.data_manager.control import Control
from app.managers.data_manager.data_upkeep_thread import DataUpkeepThread
from app.managers.data_manager.delivery import Delivery, MergedStream
from app.managers.data_manager.feeding import Feeding
from app.managers.data_manager.goals import Place
from app.managers.data_manager.merge import Merger, StreamStats, stream_stats
from app.managers.data_manager.playback import Act
from app.managers.data_manager.player import Player
from app.managers.data_manager.session_data import SessionData
from app.managers.data_manager.window_wait import WindowWait
from app.managers.data_manager.worker import WindowWorker
from app.managers.lifecycle import ENDED, State
from app.managers.time_manager import TimeManager, View, Wall
from app.model import Dictionary
from app.times import SECOND_NS

log = logging.getLogger(__name__)

_TICK_NS = SECOND_NS // 100
_JOIN_S = 2.0
_LAST_WORDS_S = 0.2
_live: list[BacktestStreamCoordinator] = []
_live_lock = Lock()


def _cause(error: BaseException | None) -> str:
    return "" if error is None else f": {type(error).__name__}: {error}"


def get_coordinator() -> BacktestStreamCoordinator:
    """The live coordinator of this process; StateError where there is none."""
    with _live_lock:
        if not _live:
            raise StateError("no coordinator is live in this process; start a session", "STOPPED")
        return _live[0]


class BacktestStreamCoordinator(Feeding, Commanded):
    """One live per process: a second one raises until the first is closed."""

    def __init__(
        self,
        time_manager: TimeManager,
        data: SessionData,
        *,
        speed: float = 0.0,
        look_back_ns: int | None = None,
        counted_from_ns: int | None = None,
        words: Dictionary | None = None,
        queue_rows: int = 1_000_000,
        wall: Wall | None = None,
        start_paused: bool = False,
        numbers: Iterator[int] | None = None,
        merger: Merger | None = None,
        give_way: Callable[[], None] | None = None,
    ) -> None:
        with _live_lock:
            if _live:
                raise StateError("a coordinator is live in this process; close it first", "LIVE")
            _live.append(self)
        first_ns = time_manager.days[time_manager.first_day].first_ns
        look_back = first_ns - 1 if look_back_ns is None else look_back_ns
        counted = first_ns if counted_from_ns is None else counted_from_ns
        self._changed = Condition()
        super().__init__(self._changed, time_manager, data, counted, queue_rows, words, merger)
        self.error: BaseException | None = None
        self._time_manager = time_manager
        self._wall = wall or Wall()
        self._clock = time_manager.take_writer(self._wall, speed)
        self._control = Control(self._changed, time_manager, self._clock, numbers)
        self._player = Player(
            self._changed,
            time_manager,
            self._clock,
            self._wall,
            self,
            data,
            self._control,
            look_back,
            self.fail,
        )
        self._at_end: Ending | None = None
        self._give_way = give_way  # to others, between two moves
        self._start_paused = start_paused
        self._stopping = False
        self.window_wait = WindowWait(
            self._changed, time_manager, self._wall, self._control, lambda: self.over, self._tell
        )
        self._clock_thread: Thread | None = None
        self._worker = self._make_worker(False)

    # -- seen from outside -----------------------------------------------------------------

    @property
    def state(self) -> State:
        return self._control.state

    @property
    def view(self) -> View:
        return self._time_manager.view

    @property
    def speed(self) -> float:
        return self._clock.speed

    @property
    def place(self) -> Place:
        """Where the session stands."""
        with self._changed:
            return self._control.place

    @property
    def over(self) -> bool:
        """Whether nothing more is delivered."""
        return self._stopping or self.error is not None

    @property
    def delivers(self) -> bool:
        """Whether its merge thread lives."""
        return self._worker.is_alive()

    @property
    def delivery(self) -> Delivery:
        """The consumers of windows."""
        return self._player.delivery

    @property
    def delivered_words(self) -> Dictionary:
        """The words of ticks in windows."""
        return self._player.words.delivered

    @property
    def items_delivered(self) -> int:
        return self._player.items_delivered

    def discarded(self) -> tuple[View, dict[str, int]]:
        """A view, and what it knows of rows that were discarded, by reason."""
        with self._changed:
            view = self.view
            return view, self.discards.counts(view.now_ns)

    def lag_ns(self) -> int:
        """The wall time that the clock is behind its schedule; 0 unless it runs at speed > 0."""
        with self._changed:
            return self._player.lag_ns()

    def get_queue_stats(self) -> list[StreamStats]:
        """Of every stream: queued rows, their times, how far complete, delivered rows."""
        with self._changed:
            figures, waiting = self.merger.figures(), self._player.chunk.waiting
            ahead = self._player.fetching.ahead
        return stream_stats(figures, waiting, ahead)

    def get_merged_stream(self) -> MergedStream:
        """An iterator over every slice from now on; the clock waits for its reader."""
        stream = MergedStream(self.delivery, self.wake)
        self.delivery.attach(stream)
        return stream

    def wake(self) -> None:
        """Look again: a consumer that held the clock may have room."""
        with self._changed:
            self._changed.notify_all()

    # -- life --------------------------------------------------------------------------------

    def attach_upkeep(self, upkeep: DataUpkeepThread) -> None:
        """Let ``upkeep`` derive bars and close days; before any stream is fed."""
        self.upkeep = upkeep
        for stream in upkeep.derived_streams:
            self.register_derived(stream)

    def attach_worker(self, worker: WindowWorker) -> None:
        """Let ``worker`` work each window off before the clock shows it; before the start."""
        self._player.worker = worker

    def attach_log(self, log: CommandLog | None, at_end: Ending | None = None) -> None:
        """Let ``log`` hear of commands, and of the end as ``end``; ``at_end`` is the last call
        where nobody works windows off. None: nobody hears any more."""
        with self._changed:
            self._control.log = None if log is None else GuardedLog(log, self.fail)
            self._at_end = at_end

    def note(self, name: str, args: Mapping[str, Any]) -> None:
        """Tell the log of what was done elsewhere (a seek by another execution); any thread."""
        with self._changed:
            self._control.note(name, args)

    def start_worker(self) -> None:
        """Start the threads. Once; StateError afterwards."""
        with self._changed:
            if self._started or self._stopping:
                raise StateError("the worker was started, or stopped, already", self.state)
            self._started = True
        if self.upkeep is not None:
            self.upkeep.start()
        self._worker.start()
        self._ensure_clock_thread()

    def wait_started(self, timeout_s: float | None = None) -> State:
        """Wait until look-back is loaded and the first view is committed (or it failed), or it
        waits for somebody outside."""
        with self._changed:
            self._changed.wait_for(
                lambda: self.window_wait.waits or self.state is not State.STARTING, timeout_s
            )
            return self.state

    def wait_ended(self, timeout_s: float | None = None) -> bool:
        """Wait until the session has ended; False on a timeout."""
        with self._changed:
            return self._changed.wait_for(lambda: self.state in ENDED, timeout_s)

    def stop_worker(self) -> None:
        """Stop all threads; any thread, any number of times. What was delivered stays readable."""
        with self._changed:
            self._stopping = True
            self._control.close(State.STOPPING if self._started else State.STOPPED)
            self.close_feeding()
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
            if self.error is None and not self._stopping and self.state not in ENDED:
                self.error = error
            self._changed.notify_all()

    def request_roll(self, day: int) -> None:
        """The upkeep thread has the day's record: it may be rolled once it is over."""
        with self._changed:
            self._player.rolls_ready = day + 1
            self._changed.notify_all()

    def reopen(self, place: Place) -> Outcome | None:
        """Take a COMPLETED session up again, PAUSED at a place of its last day.

        None where the clock cannot be set back there.
        """
        if self.state is State.COMPLETED and self._worker is not current_thread():
            self._worker.join(_LAST_WORDS_S)  # it may still be telling of the end
        with self._changed:
            over = self._stopping or self.state is not State.COMPLETED or self.delivers
            if over or not self._control.rewind(place):
                return None
            self._worker = self._make_worker(True)
            self._player.delivery.reopen()
            self._control.reopen()
            self._control.note(EPOCH, {"speed": self.speed})
            number, view = self._control.next_number(), self.view
        self._player.tell(EPOCH)
        self._worker.start()
        self._ensure_clock_thread()
        return Outcome(number, view.now_ns, view.seq, State.PAUSED)

    # -- the threads -------------------------------------------------------------------------

    def _make_worker(self, again: bool) -> Thread:
        name = "BacktestStreamWorker"
        return Thread(target=self._merge_worker, args=(again,), name=name, daemon=True)

    def _merge_worker(self, again: bool = False) -> None:
        completed = False
        try:
            while not (again or self.over) and not self._player.load_look_back(lambda: self.over):
                pass
            if not (again or self.over):
                self._player.begin(self._start_paused)
            while not self.over and not completed:
                completed = not self._advance()
        except BaseException as error:
            if not self._stopping:
                log.exception("the merge thread failed")
            self.fail(error)
        finally:
            self._finish(completed)

    def _advance(self) -> bool:
        """One move. False when the last day is over."""
        if self._give_way is not None and not self._clock.speed:  # else the next slice has its time
            self._give_way()
        self._player.fetch_when_empty()
        self._apply_commands()
        with self._changed:
            if self.over:
                return True
            move = self._player.next_move()
            if move.act is Act.WAIT:
                if not self._control.has_commands:
                    self._wall.wait(self._changed, move.deadline_ns)
                return True
        return self._player.do(move)

    def _apply_commands(self) -> None:
        """Those that wait now; further ones after the next move, so that none starves it."""
        if not self._control.has_commands:
            self._control.flush()
            return
        with self._changed:
            if self.over:
                return
            changes = list(dict.fromkeys(self._control.apply()))
        if EPOCH in changes:
            changes.remove(EPOCH)
            self._player.tell(EPOCH)  # before whoever asked for it goes on
        if self._control.run_calls():
            with self._changed:
                self._player.note_due()
        self._tell(changes)

    def _tell(self, changes: Iterable[str]) -> None:
        """Answer who asked, and tell of the changes, each once: it tells the state after all."""
        self._control.flush()
        for why in changes:
            self._ensure_clock_thread()
            self._player.tell(why)

    def _finish(self, completed: bool) -> None:
        """The last act of the merge thread: the final state, and an answer for all who wait."""
        self._finish_worker(completed)
        self._player.hashing.finish()
        self._player.fetching.finish()
        with self._changed:
            ended = State.COMPLETED if completed else State.STOPPED
            self._control.finish(State.FAILED if self.error is not None else ended)
            self.close_feeding()
        self._control.flush()
        count = self._player.items_delivered
        log.info("session %s after %d items%s", self.state, count, _cause(self.error))
        self._player.delivery.end(self.state, self.view)

    def _finish_worker(self, completed: bool) -> None:
        ended = "completed" if completed else "stopped"
        self.note(END, {"outcome": ended if self.error is None else "failed"})
        outcome = ended if self.error is None else "failed"  # that may have failed too
        worker = self._player.worker
        finish = self._at_end if worker is None else worker.finish
        if finish is None:
            return
        try:
            finish(outcome, self.error)
        except BaseException as error:
            log.exception("the worker failed at the end")
            if self.error is None:
                self.error = error

    def _ensure_clock_thread(self) -> None:
        with self._changed:
            if self._clock_thread is not None or not self._clock.speed:
                return
            thread = Thread(target=self._clock_worker, name="BacktestClockWorker", daemon=True)
            self._clock_thread = thread
        thread.start()

    def _clock_worker(self) -> None:
        """Move now between slices, 100 times a second, never onto what is undelivered."""
        try:
            with self._changed:
                while not self.over and self.state not in ENDED:
                    runs = self.state is State.RUNNING and self._clock.speed > 0
                    if runs:
                        self._player.tick()
                    until_ns = self._wall.now_ns() + _TICK_NS if runs else None
                    self._wall.wait(self._changed, until_ns)
                self._clock_thread = None  # another one, should it be reopened
        except BaseException as error:
            log.exception("the clock thread failed")
            self.fail(error)
