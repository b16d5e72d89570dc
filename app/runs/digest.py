"""The digest of a replay: BLAKE3 over the items delivered, chained by trading day.

    d_0 = H("tapedeck-digest-1" NUL, the symbols by code point with NUL between)
    d_k = H(d_(k-1), H(records of day k), H(words first seen on day k, a NUL after each))

A record is one ``ITEM`` (72 bytes, little-endian), in delivered order. Text is
the number of its word, counted by first appearance over the whole session, -1
for null. docs/digest.md describes it for other programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
from blake3 import blake3

from app.model import (
    ITEM,
    QUOTE_CODE,
    TEXTS,
    TRADE_CODE,
    VALUES,
    Dictionary,
    Items,
    StreamType,
    field_index,
)

DIGEST_VERSION = "td1"
_ITEM_WORDS = ITEM.itemsize // 8
_FIRST_VALUE = _ITEM_WORDS - VALUES
_SEED = b"tapedeck-digest-1\0"
_AT_ONCE = 8_192  # rows that stay in a processor's cache
_STEP_BYTES = 512  # of a digest that is not hashed yet, beside its items
_TEXT_COLUMNS = {
    code: [field_index(kind, text) for text in TEXTS if text in fields]
    for code, kind, fields in (
        (TRADE_CODE, StreamType.TRADE, ("exchange", "conditions")),
        (QUOTE_CODE, StreamType.QUOTE, ("exchange", "side")),
    )
}


class DeliveredWords:
    """Numbers words by first appearance in delivered order; source numbers are arbitrary."""

    def __init__(self, source: Dictionary) -> None:
        self._source = source
        self._numbers = np.full(64, -1.0)
        self.delivered = Dictionary()

    def learn(self, count: int) -> None:
        """The source's first ``count`` words have appeared, where it has the numbers given here."""
        for word in self._source.words[len(self.delivered) : count]:
            self.delivered.add(word)

    def renumber(self, items: Items) -> None:
        """Rewrite the text columns of merged items, in place."""
        for low in range(0, len(items), _AT_ONCE):
            self._renumber(items[low : low + _AT_ONCE])

    def _renumber(self, items: Items) -> None:
        stream = np.ascontiguousarray(items["stream"])
        values: Any = items["v"]
        words = items.view(np.float64)  # of 8 bytes: one index finds them faster than two
        found = [
            (places, words[places].astype(np.int32))
            for code, columns in _TEXT_COLUMNS.items()
            if len(rows := np.flatnonzero(stream == code) * _ITEM_WORDS)
            for places in (rows + (_FIRST_VALUE + column) for column in columns)
        ]
        unseen = self._unseen()
        if unseen.any() and any(unseen[codes].any() for _, codes in found):
            self._number_new(values, stream)
        for places, codes in found:
            words[places] = self._numbers[codes]  # null, -1, finds the last one: -1 too

    def _unseen(self) -> Any:
        """Which words have no number yet, by their number at the source."""
        known = len(self._source)
        if known >= len(self._numbers):
            grown = np.full(2 * known, -1.0)
            grown[: len(self._numbers)] = self._numbers
            self._numbers = grown
        unseen = self._numbers < 0
        unseen[known:] = False
        return unseen

    def _number_new(self, values: Any, stream: Any) -> None:
        """Number the words that these rows are the first to use, in record order."""
        ticks = np.flatnonzero(stream >= TRADE_CODE)
        # Columns of both kinds, as pairs in record order: a word is numbered where it stands first.
        first, second = _TEXT_COLUMNS[TRADE_CODE], _TEXT_COLUMNS[QUOTE_CODE]
        places = np.where(stream[ticks, None] == TRADE_CODE, first, second)
        codes = values[ticks[:, None], places].astype(np.int64).ravel()
        unseen = (codes >= 0) & (self._numbers[codes] < 0)
        fresh, where = np.unique(codes[unseen], return_index=True)
        for code in fresh[np.argsort(where)].tolist():
            self._numbers[code] = self.delivered.add(self._source.words[code])


class _Chain:
    """The hashing itself, in delivered order."""

    def __init__(self, link: bytes) -> None:
        self._link = link  # of the days that are over
        self._hashed_words = 0
        self._start_day()

    def copy(self) -> _Chain:
        """Another one with the same state; both go on by themselves."""
        other = _Chain.__new__(_Chain)
        other._link, other._hashed_words = self._link, self._hashed_words
        other._day, other._day_words = self._day.copy(), self._day_words.copy()
        return other

    def _start_day(self) -> None:
        self._day = blake3()
        self._day_words = blake3()

    def add(self, items: Items, words: Sequence[str]) -> None:
        """Hash items, and those of the words that they are the first to use."""
        self._day.update(items.view(np.uint8).data)
        if self._hashed_words < len(words):
            used = _highest_word(items) + 1
            for word in words[self._hashed_words : used]:
                self._day_words.update(word.encode() + b"\0")
            self._hashed_words = max(self._hashed_words, used)

    def end_day(self) -> None:
        """Close the day's link; the next day begins."""
        self._link = self.link()
        self._start_day()

    def link(self) -> bytes:
        """The running day in it as far as it came."""
        return blake3(self._link + self._day.digest() + self._day_words.digest()).digest()


class Digest:
    """The digest at one place of the delivery. ``after`` in delivered order and ``after_day``
    once a trading day give the one of the next place; this one never changes.

    What led to it is hashed where its text is read, or by ``settle`` before, on any thread; until
    then it holds the items.
    """

    __slots__ = ("_before", "_chain", "_items", "_lock", "_text", "_words", "size")

    def __init__(self, symbols: Sequence[str], words: Dictionary) -> None:
        link = blake3(_SEED + b"\0".join(s.encode() for s in symbols)).digest()
        self._chain: _Chain | None = _Chain(link)  # never written; None until it is hashed
        self._before: Digest | None = None  # until then
        self._items: Items | None = None  # what came after that; None at the end of a day
        self._words = words.words
        self._lock = Lock()  # who hashes; one for all places
        self._text = ""
        self.size = 0  # bytes that led here, and for each place what it takes beside them

    def after(self, items: Items) -> Digest:
        """With these (C-contiguous, not written to any more), and the words that they are the
        first to use."""
        return self._next(items, items.nbytes)

    def after_day(self) -> Digest:
        """With the day's link of the chain closed; the next day begins."""
        return self._next(None, 0)

    def _next(self, items: Items | None, size: int) -> Digest:
        after = Digest.__new__(Digest)
        after._before, after._chain, after._items, after._text = self, None, items, ""
        after._words, after._lock = self._words, self._lock
        after.size = self.size + size + _STEP_BYTES
        return after

    @property
    def settled(self) -> bool:
        """Whether all up to here is hashed."""
        return self._chain is not None

    def settle(self) -> None:
        """Hash all up to here; the items are let go."""
        with self._lock:
            self._hashed()

    def _hashed(self) -> _Chain:
        """Under the lock."""
        left, at = [], self
        while at._chain is None:
            left.append(at)
            assert at._before is not None
            at = at._before
        chain = at._chain
        while left:
            at = left.pop()
            chain = chain.copy()
            if at._items is None:
                chain.end_day()
            else:
                chain.add(at._items, at._words)
            at._chain, at._before, at._items = chain, None, None
        return chain

    def text(self) -> str:
        """``td1:`` and the hex of the chain, the running day in it as far as it was delivered."""
        if not self._text:
            with self._lock:
                link = self._hashed().link()
            self._text = f"{DIGEST_VERSION}:{link.hex()}"
        return self._text

    __str__ = text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Digest):
            return NotImplemented
        return self is other or self.text() == other.text()

    def __hash__(self) -> int:
        return hash(self.text())


def _highest_word(items: Items) -> int:
    values: Any = items["v"]
    found = -1
    for code, columns in _TEXT_COLUMNS.items():
        rows = items["stream"] == code
        if rows.any():
            found = max(found, int(values[rows][:, columns].max()))
    return found
