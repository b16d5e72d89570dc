"""The digest of a replay: what is hashed later, by whom and in what order, changes nothing."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from threading import Barrier, Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.model import QUOTE_CODE, TRADE_CODE, Dictionary, Items, empty_items
from app.runs import digest as digest_module
from app.runs.digest import DeliveredWords, Digest
from tests.oracle.digest_reference import RECORD, digest

SYMBOLS = ("B", "A", "ÄÖ")
WORDS = ("Q", "", "ÄÖ", "T I", "Z")
Row = tuple[int, tuple[int, int]]  # stream, its two words at the source, -1 for none
ROWS = st.lists(
    st.tuples(
        st.sampled_from((1, 5, TRADE_CODE, QUOTE_CODE)),
        st.tuples(st.integers(-1, 4), st.integers(-1, 4)),
    ),
    min_size=1, max_size=4,
)  # fmt: skip
# A chunk is merged by itself and delivered in windows; None ends a day.
CHUNKS = st.lists(st.lists(ROWS | st.none(), min_size=1, max_size=4), max_size=5)
Days = list[tuple[bytes, list[str]]]


def text_columns(stream: int) -> tuple[int, int] | None:
    """Where ``docs/digest.md`` has the texts of a kind."""
    return {TRADE_CODE: (2, 3), QUOTE_CODE: (4, 5)}.get(stream)


def made(rows: Sequence[Row], first: int) -> Items:
    items = empty_items(len(rows))
    values: Any = items["v"]
    values[:] = 0.0
    for n, (stream, texts) in enumerate(rows):
        items["release_ns"][n], items["symbol"][n] = first + n, (first + n) % 3
        items["stream"][n], items["flags"][n] = stream, (first + n) % 512
        values[n, 0] = (first + n) / 3
        places = text_columns(stream)
        if places is not None:
            values[n, list(places)] = texts
    return items


class Expected:
    """The oracle's days, filled row by row."""

    def __init__(self) -> None:
        self.days: Days = [(b"", [])]
        self._numbers: dict[int, int] = {-1: -1}

    def add(self, rows: Sequence[Row], first: int) -> None:
        records, words = self.days[-1]
        for n, (stream, texts) in enumerate(rows):
            at = first + n
            values = [at / 3, *[0.0] * 6]
            for place, code in zip(text_columns(stream) or (), texts, strict=False):
                if code not in self._numbers:
                    self._numbers[code] = len(self._numbers) - 1
                    words.append(WORDS[code])
                values[place] = self._numbers[code]
            records += RECORD.pack(at, at % 3, stream, at % 512, *values)
        self.days[-1] = records, words

    def text(self) -> str:
        return digest(SYMBOLS, self.days)


def places_of(chunks: Sequence[Sequence[Sequence[Row] | None]]) -> tuple[list[Digest], list[str]]:
    """The digest of each place of a delivery, none of them read, and what the oracle says."""
    source = Dictionary()
    for word in WORDS:
        source.add(word)
    delivered = DeliveredWords(source)
    now, expected, first = Digest(sorted(SYMBOLS), delivered.delivered), Expected(), 0
    places, said = [now], [expected.text()]
    for chunk in chunks:
        items = made([row for window in chunk if window is not None for row in window], first)
        delivered.renumber(items)
        items.flags.writeable = False
        at = 0
        for window in chunk:
            if window is None:
                expected.days.append((b"", []))
                now = now.after_day()
            else:
                expected.add(window, first + at)
                now = now.after(items[at : at + len(window)])
                at += len(window)
            places.append(now)
            said.append(expected.text())
        first += at
    return places, said


@given(CHUNKS, st.integers(1, 9), st.randoms(use_true_random=False))
def test_it_is_the_oracles_at_every_place_in_whatever_order_they_are_read(
    chunks: Sequence[Sequence[Sequence[Row] | None]], at_once: int, random: Any
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digest_module, "_AT_ONCE", at_once)
        places, said = places_of(chunks)
    order = list(range(len(places)))
    random.shuffle(order)
    for n in order:
        if random.random() < 0.3:
            places[random.randrange(len(places))].settle()
        assert places[n].text() == str(places[n]) == said[n]
    assert all(place.settled for place in places)


def test_threads_that_read_and_hash_at_once_agree() -> None:
    rng = np.random.default_rng(1)
    window = [(TRADE_CODE, (0, 1)), (1, (-1, -1)), (QUOTE_CODE, (2, -1)), (QUOTE_CODE, (3, 4))]
    chunks = [[window if rng.random() < 0.7 else None for _ in range(40)] for _ in range(5)]
    places, said = places_of(chunks)
    together, found = Barrier(4), {}

    def read(number: int) -> None:
        order = np.random.default_rng(number).permutation(len(places)).tolist()
        together.wait(30)
        for n in order:
            if number == 0:
                places[n].settle()
            else:
                found[number, n] = places[n].text()

    threads = [Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == {(i, n): text for i in (1, 2, 3) for n, text in enumerate(said)}


def test_two_ways_on_from_one_place() -> None:
    """A session that went back: what it delivered before is not in what it delivers then."""
    rows: list[Row] = [(1, (-1, -1))]
    (start, *_), _ = places_of([])
    first = start.after(made(rows, 0))
    one, other = first.after(made(rows, 1)).after_day(), first.after(made(rows, 2)).after_day()
    for place, second in ((other, 2), (one, 1)):
        expected = Expected()
        expected.add(rows, 0)
        expected.add(rows, second)
        expected.days.append((b"", []))
        assert place.text() == expected.text()


def test_items_are_let_go_once_they_are_hashed() -> None:
    (start, *_), _ = places_of([])
    items = made([(1, (-1, -1))], 0)
    held = weakref.ref(items)
    middle = start.after(items)
    end = middle.after_day()
    del items
    there = [(held() is not None, middle.settled, end.settled)]
    end.settle()
    there.append((held() is not None, middle.settled, end.settled))
    assert there == [(True, False, False), (False, True, True)]
    assert end.size > middle.size > 72


def test_it_is_a_value() -> None:
    (one, *_), _ = places_of([])
    (other, *_), _ = places_of([])
    rows: list[Row] = [(1, (-1, -1))]
    assert one == other != one.after(made(rows, 0))
    assert one.after(made(rows, 0)) == other.after(made(rows, 0)) != other.after(made(rows, 1))
    assert len({one, other}) == 1
    assert one != one.text()
