"""Stream clients by what they want: those with equal wishes share one encoding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from app.api.clients import Client
from app.api.frames import Codec, Selection
from app.api.messages import RefusalError, Subscription
from app.errors import nearest

if TYPE_CHECKING:
    from app.managers.system_manager import ReplaySession


class Tuned:
    """The clients of one wish and encoding, tuned to the symbols of the session."""

    def __init__(self, subscription: Subscription, codec: Codec) -> None:
        self.subscription = subscription
        self.codec = codec
        self.clients: set[Client] = set()
        self.selection = Selection(subscription.channels, None)

    def tune(self, session: ReplaySession | None) -> None:
        wanted = self.subscription.symbols
        if session is None or wanted is None:
            mask = None
        else:
            mask = np.fromiter((s in wanted for s in session.symbols), bool)
        self.selection = Selection(self.subscription.channels, mask)


class Groups:
    """Every subscribed client in its group."""

    def __init__(self) -> None:
        self._groups: dict[tuple[Subscription, str], Tuned] = {}
        self._of: dict[Client, Tuned] = {}

    def add(self, client: Client, session: ReplaySession | None) -> Tuned:
        """Into the group of its subscription, which must be set."""
        assert client.subscription is not None
        key = (client.subscription, client.codec.name)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Tuned(client.subscription, client.codec)
            group.tune(session)
        group.clients.add(client)
        self._of[client] = group
        return group

    def remove(self, client: Client) -> None:
        group = self._of.pop(client, None)
        if group is None:
            return
        group.clients.discard(client)
        if not group.clients:
            del self._groups[group.subscription, group.codec.name]

    def of(self, client: Client) -> Tuned | None:
        return self._of.get(client)

    def lossless(self) -> list[Tuned]:
        """Groups that are sent every slice."""
        wishes = ((g, g.subscription) for g in self._groups.values())
        return [g for g, wish in wishes if wish.lossless and wish.channels]

    def count_lossless(self) -> int:
        return sum(len(group.clients) for group in self.lossless())

    def retune(self, session: ReplaySession) -> None:
        """Wishes are by name: find the symbols of a new session anew."""
        for group in self._groups.values():
            group.tune(session)

    @staticmethod
    def check_symbols(subscription: Subscription, session: ReplaySession) -> None:
        """RefusalError where the session lacks a symbol that is wanted."""
        if subscription.symbols is None:
            return
        unknown = sorted(subscription.symbols - set(session.symbols))
        if unknown:
            close = ", ".join(nearest(unknown[0], session.symbols)) or "none"
            raise RefusalError(
                "unknown_symbol",
                f"this session has no symbol {', '.join(unknown[:10])}; nearest: {close}",
            )
