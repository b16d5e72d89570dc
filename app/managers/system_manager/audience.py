"""Who hears of a session, whichever branch of it is shown."""

from __future__ import annotations

from collections.abc import Callable

from app.managers.data_manager.delivery import Delivery, Listener, WindowConsumer
from app.managers.lifecycle import State
from app.managers.time_manager import View


class Audience:
    """Consumers of windows and listeners to commits; they move from branch to branch.

    Whoever calls holds the transport's lock, but for ``leave`` and ``tell``.
    """

    def __init__(self) -> None:
        self._consumers: list[WindowConsumer] = []
        self._listeners: dict[int, tuple[Listener, Callable[[], None]]] = {}
        self._last_key = 0

    def attach(self, consumer: WindowConsumer, delivery: Delivery) -> None:
        self._consumers.append(consumer)
        delivery.attach(consumer)

    def listen(self, listener: Listener, delivery: Delivery) -> int:
        """The key under which the listener is let go."""
        self._last_key += 1
        self._listeners[self._last_key] = listener, delivery.listen(listener)
        return self._last_key

    def let_go(self, key: int) -> Callable[[], None]:
        """What ends the listening; to be called outside the lock."""
        return self._listeners.pop(key, (None, _nothing))[1]

    def leave(self, delivery: Delivery) -> None:
        """Consumers hear nothing more of a branch; listeners do, until they follow another."""
        for consumer in self._consumers:
            delivery.detach(consumer)

    def come_back(self, delivery: Delivery) -> None:
        """Consumers hear a branch again, which the listeners never left."""
        for consumer in self._consumers:
            delivery.attach(consumer)

    def follow(self, delivery: Delivery) -> None:
        """All hear another branch from now on."""
        self.come_back(delivery)
        for key, (listener, remove) in list(self._listeners.items()):
            remove()
            self._listeners[key] = listener, delivery.listen(listener)

    def tell(self, state: State, view: View, why: str) -> None:
        for consumer in self._consumers:
            consumer.on_state(state, view, why)
        for listener, _ in list(self._listeners.values()):
            listener(view)


def _nothing() -> None:
    pass
