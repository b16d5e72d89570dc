"""The delivery of events in rounds, by whichever thread has its turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter, length_hint
from threading import get_ident
from time import monotonic
from typing import Any, TypeVar

from app.trading.bus.barrier import Barrier
from app.trading.bus.errors import BusError, ClosedError, HandlerError, HandlerInterrupt
from app.trading.bus.port import Phase, Port, RemotePort, inside
from app.trading.bus.roster import Leg, Roster, Takers
from app.trading.bus.turn import HOLDER, Turn
from app.trading.bus.watch import Spot, watch
from app.trading.data_events import EquityEvent, MarketEvent
from app.trading.events import TOPICS

T = TypeVar("T")
Follow = Callable[[], Any]
_rank = attrgetter("rank")


def nothing() -> None:
    """No event follows: of ``Follow``."""


class Rounds:
    """What the engine does with a bus: publish, drain, hand market data over."""

    topics: frozenset[type] = frozenset((*TOPICS, EquityEvent))
    ENGINE_RANK = 0

    def __init__(self, watchdog_s: float | None) -> None:
        self.barrier = Barrier(watchdog_s)
        self.senders: list[Port] = []  # those that have published; the engine is not among them
        self._roster = Roster(self.topics)
        self._turn = Turn(self._is_quiet)
        self._spot = Spot(watchdog_s, self._turn, self.barrier)
        self._engine = Port(self, "engine", self.ENGINE_RANK, {})

    # -- events ----------------------------------------------------------------------------

    def publish(self, event: Any) -> None:
        """Publish in the engine's name, before all others of the next round.

        From any thread, but not from inside a handler: that has a port.
        """
        if self._turn.held:
            self._refuse_inside("published to without a port")
        engine = self._engine
        if type(event) not in engine.open_topics:
            raise engine.refusal(event)
        engine.outbox.append(event)

    def drain(self, follow: Follow = nothing) -> None:
        """Deliver rounds until one publishes nothing; HandlerError where a handler raised.

        Then ``follow`` is asked for the engine's next event, until it gives None. Waits for its
        turn while another thread drains. BusError from inside a handler, and on the thread of an
        event loop that a subscriber needs.
        """
        turn = self._turn
        held, me = turn.held, get_ident()
        if held:
            self._refuse_inside("drained")
        try:
            if held.setdefault(HOLDER, me) != me:
                turn.take()
            if turn.ready != me:
                self._prepare()
            self._deliver(None, follow)
        except BaseException as error:
            turn.fail(error)
            raise
        finally:
            if held.get(HOLDER) == me:
                del held[HOLDER]
            if turn.asked:
                self._end_turn()

    def send_market(self, phase: Phase, event: MarketEvent, follow: Follow | None = None) -> int:
        """Hand slices to a phase's subscribers; how far all of them got.

        A subscriber of the strategy phase may stop after a slice at which it published. What is
        published waits; with ``follow`` it is drained before this returns.
        """
        turn = self._turn  # taken as in ``drain``; a call for both would cost each slice two
        held, me = turn.held, get_ident()
        if held:
            self._refuse_inside("sent market data")
        try:
            if held.setdefault(HOLDER, me) != me:
                turn.take()
            if turn.ready != me:
                self._prepare()
            high = self._deliver_market(phase, event)
            if follow is not None:
                self._deliver(None, follow)
            return high
        except BaseException as error:
            turn.fail(error)
            raise
        finally:
            if held.get(HOLDER) == me:
                del held[HOLDER]
            if turn.asked:
                self._end_turn()

    def outside(self, call: Callable[[], T]) -> T:
        """Within an inline handler, call what waits for somebody outside: nobody watches it."""
        spot = self._spot
        walk, spot.walk = spot.walk, None
        try:
            return call()
        finally:
            spot.walk = walk

    def remove(self, port: Port) -> None:
        """A subscriber leaves, between rounds."""
        self._roster.ask_to_leave(port)
        self._end_turn()

    def abandon(self) -> None:
        """Drop all that is published and not handled: the run has failed or was stopped.

        Waits for handlers that are under way; what they raise is dropped as well.
        """
        self._refuse_inside("abandoned")
        turn = self._turn
        try:
            turn.take()
            self.barrier.wait()
            self._take_failure()
            turn.error = None
            for port in (self._engine, *self._roster.ports):
                port.outbox.clear()
            for remote in self._roster.remote:
                remote.inbox.clear()
        finally:
            turn.give_back()
            self._end_turn()

    # -- rounds ----------------------------------------------------------------------------

    def _deliver(self, deadline_s: float | None, follow: Follow = nothing) -> bool:
        """Rounds until one publishes nothing; False at the deadline, with work under way."""
        barrier, roster, senders = self.barrier, self._roster, self.senders
        published = self._engine.outbox
        while True:
            if barrier.stirred and not self._end_round(deadline_s):
                return False
            event, batch = None, None
            if published or len(senders) > 1:
                batch = self._take_published()
            elif senders:
                outbox = senders.pop().outbox
                if len(outbox) == 1:  # the usual case
                    event = outbox.pop()
                else:
                    batch = outbox[:]
                    outbox.clear()
            if roster.leaving:
                roster.let_leave()
            if batch:
                if roster.remote:
                    self._begin_remote(batch)
                self._call_all(batch)
                continue
            if event is None and (event := follow()) is None:
                return True
            takers = roster.table[type(event)]
            if takers.remote:
                self._begin_remote([event])
            self._call(takers, event)

    def _take_published(self) -> list[Any]:
        """The batch of the next round: by rank."""
        published, senders = self._engine.outbox, self.senders
        batch: list[Any] = []
        if published:
            batch = published[:]  # other threads may append to it meanwhile
            del published[: len(batch)]
        ports = senders[:]  # as may a subscriber that was given up
        del senders[: len(ports)]
        for port in sorted(ports, key=_rank):
            batch += port.outbox
            port.outbox.clear()
        return batch

    def _deliver_market(self, phase: Phase, event: MarketEvent) -> int:
        if self.barrier.stirred:
            self._end_round(None)
        if self._roster.leaving:
            self._roster.let_leave()
        takers, high = self._roster.market[phase], event.high
        stopping = takers.stopping
        for port in stopping:
            port.reached = high
        for one in takers.remote:
            one.inbox.append(event)
            one.begin()
        self._call(takers, event)
        if self.barrier.stirred:
            self._end_round(None)
        for port in stopping:
            if port.reached < high:
                high = port.reached
        return high

    def _begin_remote(self, batch: list[Any]) -> None:
        """Those that are not inline get their inboxes, and begin."""
        table = self._roster.table
        touched: list[RemotePort] = []
        for event in batch:
            for port in table[type(event)].remote:
                if not port.inbox:
                    touched.append(port)
                port.inbox.append(event)
        touched.sort(key=_rank)
        for port in touched:
            port.begin()

    def _call(self, takers: Takers, event: Any) -> None:
        """Call the inline handlers of an event: most rounds have but one."""
        spot = self._spot
        spot.calls, spot.event, spot.walk = takers.calls, event, (walk := iter(takers.handlers))
        try:
            for handler in walk:
                handler(event)
        except (Exception, HandlerInterrupt) as error:
            at = len(takers.calls) - length_hint(walk)
            port = takers.calls[at - 1][0] if at else self._engine
            self._note_failure(port, event, error)
            self._call(takers.after(at), event)
        finally:
            spot.walk = None

    def _call_all(self, batch: list[Any]) -> None:
        """Call the inline handlers of several events: each subscriber's in turn."""
        self._walk(self._roster.legs(batch), batch)

    def _walk(self, legs: Sequence[Leg], batch: list[Any]) -> None:
        spot, port, place = self._spot, self._engine, 0
        spot.calls, spot.event, spot.walk = legs, batch, (walk := iter(legs))
        try:
            for port, handler, place in walk:  # noqa: B007 - told if it fails
                handler(batch[place])
        except (Exception, HandlerInterrupt) as error:
            self._note_failure(port, batch[place], error)
            self._walk([leg for leg in walk if leg[0] is not port], batch)
        finally:
            spot.walk = None

    def _note_failure(self, port: Port, event: Any, error: BaseException) -> None:
        """A handler has failed; its subscriber gets no more of this round, the others go on."""
        if not isinstance(error, HandlerInterrupt):  # it says more than the watch may have told
            failure = HandlerError(port.name, event, error)
            self.barrier.fail(port.rank, failure, replace=True)
        elif not self.barrier.has_failed:  # it is meant for a bus around this one
            raise error

    def _prepare(self) -> None:
        """Before a delivery: the watch looks, and no thread is to wait for itself."""
        self._turn.settle_in()
        self._look_after()
        for port in self._roster.remote:
            self._turn.ready = 0  # to be asked every time
            port.refuse_drainer()

    def _look_after(self) -> None:
        self._turn.error = None
        if not self._spot.watched:
            watch.add(self._spot)

    def _end_round(self, deadline_s: float | None) -> bool:
        """Wait for all, and raise what the first by rank failed with; False at the deadline."""
        if self.barrier.count:
            if self._is_inside_elsewhere():  # of a drain whose time was over
                raise BusError("the bus was waited for from inside a handler")
            if not self.barrier.wait(deadline_s):
                return False
        if self.barrier.closed:
            raise ClosedError("the bus has been closed")
        failure = self._take_failure()
        if failure is not None:
            raise failure
        return True

    def _take_failure(self) -> HandlerError | None:
        """The round's failure; who was given up leaves, without what it had published."""
        for port in self._roster.remote:
            if port.hold.cut:
                port.outbox.clear()
                self._roster.ask_to_leave(port)
        return self.barrier.take_failure()

    def _end_turn(self) -> None:
        """Let leave who can, unless somebody delivers, and tell those that wait."""
        turn, roster = self._turn, self._roster
        while any(not p.outbox for p in roster.leaving) and not turn.is_mine():
            if not turn.try_to_take():
                break
            try:
                roster.let_leave()
            finally:
                turn.give_back()
        turn.tell(bool(roster.leaving))

    # -- idle ------------------------------------------------------------------------------

    def is_inside(self) -> bool:
        """Whether the caller is in a handler of this bus, of any kind."""
        return self._turn.is_mine() or self._is_inside_elsewhere()

    def wait_until_system_idle(self, timeout_s: float | None = None) -> bool:
        """Return when nothing is published, queued or being handled.

        True when the bus has been so at a moment since the call, False when ``timeout_s`` is
        over. While a thread lives that drains by itself (an engine's), this waits for it;
        otherwise this delivers, and then ``timeout_s`` bounds the waiting for other threads: an
        inline handler runs to its end. What is under way goes on after False. Raises as
        ``drain`` does, and BusError where the other thread's last drain failed.
        """
        self._refuse_inside("waited for")
        for port in self._roster.remote:
            port.refuse_drainer()
        turn = self._turn
        deadline_s = None if timeout_s is None else monotonic() + timeout_s
        while turn.is_elsewhere():
            idle = turn.wait_for_others(deadline_s)
            if idle is not None:
                return idle
        try:
            if not turn.take(deadline_s):
                return False
            self._look_after()
            return self._deliver(deadline_s)
        except BaseException as error:
            turn.fail(error)
            raise
        finally:
            turn.give_back()
            self._end_turn()

    def _is_quiet(self) -> bool:
        ports = (self._engine, *self._roster.ports)
        return not self.barrier.count and not any(port.outbox for port in ports)

    def _is_inside_elsewhere(self) -> bool:
        scope = inside.get()
        return scope is not None and scope.open and scope.bus is self

    def _refuse_inside(self, done: str) -> None:
        if self.is_inside():
            raise BusError(f"the bus was {done} from inside a handler")
