"""The digest ``td1`` of a replay, as any other program can compute it.

A delivered item is a record of 72 bytes, little-endian, without padding:

    int64    release_ns   when the item is complete, nanoseconds since the epoch, UTC
    uint32   symbol       index into the session's symbols, sorted by code point
    uint16   stream       a bar's interval in minutes; 0x8000 trade; 0x8001 quote
    uint16   flags        1 post-close, 2 complete, 4 partial, 8 suspicious, 16 sets last,
                          32 sets high and low, 64 counts for volume, 128 opening auction,
                          256 closing auction; a 1m bar of the source is complete
    float64  seven values bar: open, high, low, close, volume, vwap, minutes
                          trade: price, size, exchange, conditions, 0, 0, 0
                          quote: bid, bid_size, ask, ask_size, exchange, side, 0

A missing number is the NaN 0x7ff8000000000000, minus zero is zero. A text is the index
of its word in one dictionary of the session, numbered by first appearance in the order
of delivery (within a record from left to right), -1.0 where there is none.

Records stand in the order of delivery: release time; trades, quotes, bars from the
shortest interval up; symbol; row at the source. The chain has one link a trading day,
days without data included, so its state after any day is 32 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from blake3 import blake3

RECORD = struct.Struct("<qIHH7d")


def digest(symbols: Sequence[str], days: Iterable[tuple[bytes, Sequence[str]]]) -> str:
    """The digest of a session.

    ``symbols``: all of the session. ``days``: for each trading day in order the bytes of
    its records and the words that first appeared on it, in order of appearance.
    """
    names = b"\0".join(symbol.encode() for symbol in sorted(symbols))
    link = blake3(b"tapedeck-digest-1\0" + names).digest()
    for records, words in days:
        spelled = b"".join(word.encode() + b"\0" for word in words)
        link = blake3(link + blake3(records).digest() + blake3(spelled).digest()).digest()
    return "td1:" + link.hex()
