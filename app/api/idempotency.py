"""Repeated calls with one Idempotency-Key are one call."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from app.errors import RequestError

T = TypeVar("T")
MOST_KEYS = 1000
KEY_CHARACTERS = 255


class _Kept(NamedTuple, Generic[T]):
    request: bytes
    work: asyncio.Future[T]


class IdempotencyKeys(Generic[T]):
    """The work that each key stands for, done or under way; the oldest done are forgotten.

    Keys of a session's calls belong to it: a new one forgets them.
    """

    def __init__(self, most: int = MOST_KEYS) -> None:
        self._most = most
        self._kept: OrderedDict[str, _Kept[T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def once(
        self, key: str | None, request: bytes, begin: Callable[[], asyncio.Future[T]]
    ) -> asyncio.Future[T]:
        """The work that ``begin`` makes, unless an equal request with this key made it before."""
        if key is None:
            return begin()
        work = self.find(key, request)
        if work is None:
            work = begin()
            self.keep(key, request, work)
        return work

    def find(self, key: str, request: bytes) -> asyncio.Future[T] | None:
        """The work of an equal request; RequestError where the key stood for another."""
        if not (0 < len(key) <= KEY_CHARACTERS and key.isascii() and key.isprintable()):
            raise RequestError(
                f"Idempotency-Key: 1 to {KEY_CHARACTERS} printable ASCII characters are allowed"
            )
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.request != request:
            raise RequestError(
                f"Idempotency-Key {key!r} came before with another request; use a new key"
            )
        self._kept.move_to_end(key)
        return kept.work

    def keep(self, key: str, request: bytes, work: asyncio.Future[T]) -> None:
        """Remember work that has begun; one that was refused is forgotten again."""
        self._kept[key] = _Kept(request, work)
        work.add_done_callback(lambda done: self._forget_refused(key, done))
        for old in [k for k, v in self._kept.items() if v.work.done()]:
            if len(self._kept) <= self._most:
                break
            del self._kept[old]

    def clear(self) -> None:
        self._kept.clear()

    def _forget_refused(self, key: str, work: asyncio.Future[T]) -> None:
        kept = self._kept.get(key)
        if kept is not None and kept.work is work and (work.cancelled() or work.exception()):
            del self._kept[key]
