"""The digest of a replay: BLAKE3 over the items delivered, chained by trading day.

    d_0 = H("tapedeck-digest-1" NUL, the symbols by code point with NUL between)
    d_k = H(d_(k-1), H(records of day k), H(words first seen on day k, a NUL after each))

A record is one ``ITEM`` (72 bytes, little-endian), in delivered order. Text is
the number of its word, counted by first appearance over the whole session, -1
for null. docs/digest.md describes it for other programs.
"""

from __future__ import annotations

from collections.abc import Sequence
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


class Digest:
    """The chain. ``add`` in delivered order, ``end_day`` once a trading day."""

    def __init__(self, symbols: Sequence[str], words: Dictionary) -> None:
        self._chain = blake3(_SEED + b"\0".join(s.encode() for s in symbols)).digest()
        self._words = words
        self._hashed_words = 0
        self._start_day()

    def copy(self) -> Digest:
        """Another one with the same state; both go on by themselves."""
        other = Digest.__new__(Digest)
        other.__dict__.update(self.__dict__)
        other._day, other._day_words = self._day.copy(), self._day_words.copy()
        return other

    def _start_day(self) -> None:
        self._day = blake3()
        self._day_words = blake3()
        self._known_link: bytes | None = None  # until something is added
        self._known_text = ""  # of that link

    def add(self, items: Items) -> None:
        """Hash delivered items (C-contiguous), and the words they are the first to use."""
        self._known_link = None
        self._day.update(items.view(np.uint8).data)
        words = self._words.words
        if self._hashed_words < len(words):
            used = _highest_word(items) + 1
            for word in words[self._hashed_words : used]:
                self._day_words.update(word.encode() + b"\0")
            self._hashed_words = max(self._hashed_words, used)

    def end_day(self) -> None:
        """Close the day's link of the chain; the next day begins."""
        self._chain = self._link()
        self._start_day()

    def text(self) -> str:
        """``td1:`` and the hex of the chain, the running day in it as far as it was delivered."""
        if self._known_link is None:
            self._known_text = f"{DIGEST_VERSION}:{self._link().hex()}"
        return self._known_text

    def _link(self) -> bytes:
        link = self._known_link
        if link is None:
            link = blake3(self._chain + self._day.digest() + self._day_words.digest()).digest()
            self._known_link = link
        return link


def _highest_word(items: Items) -> int:
    values: Any = items["v"]
    found = -1
    for code, columns in _TEXT_COLUMNS.items():
        rows = items["stream"] == code
        if rows.any():
            found = max(found, int(values[rows][:, columns].max()))
    return found
