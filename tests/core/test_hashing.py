"""Hashing beside the merge thread: how much waits, and what becomes of its thread."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from app.managers.data_manager import hashing
from app.managers.data_manager.hashing import Hashing
from app.managers.lifecycle import State
from app.model import Dictionary, empty_items
from app.runs.digest import Digest
from tests.core.harness import (
    DAY1,
    DAY2,
    DAY3,
    MINUTE,
    open_ns,
    open_session,
    session_bars,
    write,
)
from tests.oracle.digest_reference import digest

ROWS = 1_000
PIECE = 2 * ROWS * 72  # what is handed over at least


def is_there() -> bool:
    return "DigestThread" in {thread.name for thread in threading.enumerate()}


def window() -> Any:
    items = empty_items(ROWS)
    items.view("u1")[:] = 7
    return items


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_MOST_BYTES", PIECE)
    monkeypatch.setattr(hashing, "_LARGE_BYTES", ROWS * 72)


@pytest.mark.usefixtures("pieces")
def test_many_rows_are_hashed_unasked() -> None:
    failed: list[BaseException] = []
    now = Digest(["A"], Dictionary())
    beside, seen = Hashing(now, failed.append), [now]
    for _ in range(21):
        seen.append(seen[-1].after(window()))
        beside.reached(seen[-1])
    assert is_there()
    beside.finish()
    assert not is_there()
    assert [place.settled for place in seen] == [True] * 21 + [False]
    assert seen[-1].text() == digest(["A"], [(bytes([7]) * 21 * ROWS * 72, [])])
    assert failed == []


@pytest.mark.usefixtures("pieces")
def test_two_pieces_wait_at_most_for_a_thread_that_never_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Hashing, "_work", lambda self: None)
    now = Digest(["A"], Dictionary())
    beside, seen = Hashing(now, lambda error: None), [now]
    for _ in range(20):
        seen.append(seen[-1].after(window()))
        beside.reached(seen[-1])
        hashed = max(place.size for place in seen if place.settled)
        assert seen[-1].size - hashed < 2 * PIECE
    beside.finish()
    assert seen[-1].text() == digest(["A"], [(bytes([7]) * 20 * ROWS * 72, [])])


@pytest.mark.usefixtures("pieces")
def test_small_windows_are_hashed_where_they_are_delivered() -> None:
    now = Digest(["A"], Dictionary())
    beside, seen = Hashing(now, lambda error: None), [now]
    for _ in range(30):
        seen.append(seen[-1].after(window()[: ROWS // 10]))
        beside.reached(seen[-1])
    assert not is_there()
    size = seen[1].size
    assert [place.settled for place in seen].index(False) == PIECE // size + 2
    assert seen[-1].text() == digest(["A"], [(bytes([7]) * 3 * ROWS * 72, [])])


@pytest.mark.usefixtures("pieces")
def test_what_fails_on_its_thread_is_told_and_not_hidden(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failed: list[BaseException] = []
    now = Digest(["A"], Dictionary())
    beside = Hashing(now, failed.append)
    broken = now.after(empty_items(4 * ROWS)[::2])  # not contiguous
    beside.reached(broken)
    beside.finish()
    assert [type(error) for error in failed] == [ValueError]
    assert "the digest's thread failed" in caplog.text
    assert not is_there()
    with pytest.raises(ValueError, match="contiguous"):
        broken.text()


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    for day in (DAY1, DAY2, DAY3):
        for symbol in ("AA", "BB"):
            write(tmp_path, "bars_1m", symbol, day, session_bars(day))
    return tmp_path


def test_a_session_comes_to_the_same_whoever_hashes(
    catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noon, evening = open_ns(DAY3) + 150 * MINUTE, open_ns(DAY3) + 380 * MINUTE
    with open_session(catalog, start_paused=True) as (_, _, session):
        session.seek(noon).result(30)
        at_noon = session.status().digest
        session.resume()
        assert session.wait(60)
        at_end = session.status().digest
        assert not is_there()
    monkeypatch.setattr(hashing, "_MOST_BYTES", 1)
    monkeypatch.setattr(hashing, "_LARGE_BYTES", 1)
    with open_session(catalog, start_paused=True) as (_, _, session):
        session.seek(evening).result(30)
        assert is_there()
        session.seek(noon).result(30)
        assert session.status().digest == at_noon
        session.resume()
        assert session.wait(60)
        session.seek(noon).result(30)  # taken up again after its end
        assert session.status().digest == at_noon
        session.resume()
        assert session.wait(60)
        assert (session.state, session.status().digest) == (State.COMPLETED, at_end)
    assert not is_there()


def test_a_session_that_cannot_be_hashed_fails(
    catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(digest: Digest) -> None:
        raise MemoryError("no room to hash")

    monkeypatch.setattr(hashing, "_MOST_BYTES", 1)
    monkeypatch.setattr(hashing, "_LARGE_BYTES", 1)
    monkeypatch.setattr(Digest, "settle", broken)
    with open_session(catalog) as (_, _, session):
        assert session.wait(60)
        status = session.status()
    assert (status.state, status.error) == ("FAILED", "MemoryError: no room to hash")
    assert not is_there()
