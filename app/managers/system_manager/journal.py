"""What came from outside and changed what a session became, and where in simulated time."""

from __future__ import annotations

from typing import NamedTuple

from app.managers.data_manager.goals import Place
from app.trading.events import EventBase


class Sent(NamedTuple):
    """An order, cancel or change from outside, where it took effect."""

    place: Place
    seq: int  # the last slice before it
    event: EventBase
    orders_made: int  # orders from outside, with its own


class Cut(NamedTuple):
    """A way back: at ``place`` a new epoch began, without what had been sent after it."""

    epoch: int
    place: Place
    sent: tuple[Sent, ...]


class Journal:
    """Written on the merge thread, and between two branches. ``sent`` rises in place."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.cuts: list[Cut] = []

    def upto(self, place: Place) -> list[Sent]:
        """What took effect at or before a place, in order."""
        return [sent for sent in self.sent if sent.place <= place]

    def cut(self, epoch: int, place: Place) -> None:
        """A new epoch begins at a place: what was sent after it is none of it."""
        kept = self.upto(place)
        self.cuts.append(Cut(epoch, place, tuple(self.sent[len(kept) :])))
        self.sent = kept
