"""What a killed process leaves is taken up again: checked, completed and put in place, or told why
not, and then kept as it was.

A copy of a run's folder, made while its session stands, is what a kill at that moment leaves.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from app.client import Tapedeck
from app.errors import RunError, StateError
from app.managers.system_manager import backtest, replay_again
from app.managers.system_manager.replay_again import ReplayAgain
from app.managers.system_manager.resume import ResumeJob, Resumption
from app.runs import streams, writer
from app.runs.folder import AGAIN, STOPPED_AGAIN, RunFolder, RunHandle
from app.runs.manifest import UNFINISHED, RunState, hash_file, write_manifest
from app.runs.store import RunStore
from settings import Settings
from tests.client.small_catalog import DAYS, bar_table, day_path_of, write
from tests.conftest import StartServer
from tests.reliability.deck import PLAIN, Deck, let_go, names
from tests.reliability.killed import bytes_of, came_to
from tests.until import until

ORDER = {"symbol": "AIG", "side": "buy", "quantity": 5}


class Killed:
    """A store of runs as kills left them."""

    def __init__(self, settings: Settings, root: Path) -> None:
        self.settings = settings.model_copy(update={"tapedeck_runs_dir": root})
        self.store = RunStore(root)

    def take(self, run: RunFolder) -> RunFolder:
        """A run as a kill would leave it now."""
        shutil.copytree(run.path, self.store.root / run.id)
        assert self.store.mark_interrupted() == (run.id,)
        found = self.store.open(run.id)
        assert found.manifest.cause == "its process was gone"
        return found

    def resume(self, run: RunFolder, **job: Any) -> None:
        """In this process, where no session is to be live."""
        let_go()
        handle = self.store.reopen(run.id)
        try:
            Resumption(ResumeJob(run.id, self.settings, **job)).run()
        finally:
            handle.release()


@pytest.fixture
def killed(settings: Settings, tmp_path: Path) -> Killed:
    return Killed(settings, tmp_path / "killed")


def without_journal(run: RunFolder) -> dict[str, Any]:
    found = came_to(run)
    found["files"].pop("journal.jsonl")
    return found


def trade(deck: Deck) -> None:
    """Orders and a cancel between steps, the last one just before the kill."""
    deck.step("bar", 20)
    deck("POST", "/session/orders", ORDER)
    deck.step("day", 1)
    rests = deck("POST", "/session/orders", {**ORDER, "type": "limit", "limit_price": 40.0})
    deck.step("bar", 30)
    deck("DELETE", f"/session/orders/{rests['order']['id']}")
    deck("POST", "/session/orders", {**ORDER, "side": "sell", "quantity": 2})


def walk(deck: Deck) -> None:
    deck.step("bar", 100)
    deck.step("day", 1)
    deck.step("slice", 77)
    deck.seek("2013-10-07T15:00:00Z")


SESSIONS: dict[str, tuple[dict[str, Any], Callable[[Deck], None]]] = {
    "trading": ({"config": "once.yaml", "speed": 0}, trade),
    "replay": (PLAIN, walk),
}


@pytest.mark.parametrize("kind", SESSIONS)
def test_it_comes_to_the_bytes_of_the_run_that_was_not_interrupted(
    deck: Deck, killed: Killed, kind: str
) -> None:
    body, drive = SESSIONS[kind]
    run_id = deck.start(**body)
    drive(deck)
    run = killed.take(deck.run(run_id))
    told = names(list(run.journal() or ()))
    deck("POST", "/session/resume")
    deck.until("COMPLETED")
    killed.resume(run)
    manifest = run.manifest
    assert (manifest.state, manifest.cause) == (RunState.COMPLETED, None)
    assert len(manifest.resumed) == 1
    assert without_journal(run) == without_journal(deck.run(run_id))
    assert names(list(run.journal() or ())) == [*told, "end"]
    assert run.check() == []
    left = {name.partition("/")[0] for name in bytes_of(run.path)}
    assert left == {name.partition("/")[0] for name in bytes_of(deck.run(run_id).path)}


def test_over_http_it_is_queued_and_run_in_a_process_of_its_own(
    server: StartServer, catalog: Path, deck: Deck, killed: Killed, tmp_path: Path
) -> None:
    run_id = deck.start(config="once.yaml", speed=0)
    trade(deck)
    run = killed.take(deck.run(run_id))
    url = server(catalog, tapedeck_runs_dir=killed.store.root)
    with Tapedeck(url) as client:
        assert [r.state for r in client.runs().runs] == ["interrupted"]
        assert client.resume_run(run_id).state in ("queued", "running")
        until(lambda: run.manifest.state.final)
        found = client.run(run_id)
        assert (found.state, found.cause, len(found.resumed_ns)) == ("completed", None, 1)
    answers = [
        httpx.post(f"{url}/api/v1/runs/{one}/resume", timeout=60) for one in (run_id, "none")
    ]
    assert [answer.status_code for answer in answers] == [409, 404]
    assert "it is completed; only interrupted runs can" in answers[0].json()["detail"]


# -- what is told, and not papered over ------------------------------------------------------------


@pytest.fixture
def traded(deck: Deck, killed: Killed, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A session that was killed in the middle of its trading, each event written at once."""
    monkeypatch.setattr(writer, "BATCH_EVENTS", 1)
    run_id = deck.start(config="once.yaml", speed=0)
    trade(deck)
    return killed.take(deck.run(run_id))


@pytest.fixture
def walked(deck: Deck, killed: Killed) -> RunFolder:
    run_id = deck.start(**PLAIN)
    walk(deck)
    return killed.take(deck.run(run_id))


def check_kept(run: RunFolder, before: dict[str, bytes], cause: str) -> None:
    """Interrupted as before, with this cause, and not a byte of the record is another."""
    manifest = run.manifest
    assert manifest.state is RunState.INTERRUPTED
    assert cause in (manifest.cause or "")
    after = bytes_of(run.path)
    for found in (before, after):
        found.pop("manifest.json", None)
    assert after == before


def test_a_strategy_that_decides_otherwise_now_is_a_difference(
    killed: Killed, traded: RunFolder
) -> None:
    copy = traded.path / "strategies" / "once.py"
    text = copy.read_text()
    copy.unlink()
    with pytest.raises(RunError, match=r"once\.py', is missing; the run cannot be executed"):
        killed.resume(traded)
    copy.write_text(text.replace("self.bars == 5", "self.bars == 7"))
    before = bytes_of(traded.path)
    with pytest.raises(RunError, match="is not the file that the run began with"):
        killed.resume(traded)
    check_kept(traded, before, "strategies/once.py is not the file that the run began with")
    (found,) = traded.manifest.strategies
    found = msgspec.structs.replace(found, hash=hash_file(copy).hash)
    write_manifest(traded.path, msgspec.structs.replace(traded.manifest, strategies=(found,)))
    killed.resume(traded)
    check_kept(traded, before, "executed again, it differs from event ")


def test_a_journal_that_is_not_of_this_data_is_a_difference(
    killed: Killed, walked: RunFolder
) -> None:
    first, second, *others = walked.journal() or ()
    second = msgspec.structs.replace(second, seq=second.seq + 1)
    lines = [msgspec.json.encode(entry) + b"\n" for entry in (first, second, *others)]
    (walked.path / "journal.jsonl").write_bytes(b"".join(lines))
    before = bytes_of(walked.path)
    killed.resume(walked)
    check_kept(walked, before, f"it differs from its journal in journal[2]: ({second.seq}, ")


@pytest.mark.parametrize("kind", ["traded", "walked"])
def test_other_data_are_refused_by_name(
    request: pytest.FixtureRequest, killed: Killed, kind: str, catalog: Path, tmp_path: Path
) -> None:
    run: RunFolder = request.getfixturevalue(kind)
    before = bytes_of(run.path)
    other = shutil.copytree(catalog, tmp_path / "other")
    changed = day_path_of("bars_1m", "AIG", DAYS[1])
    write(other / changed, bar_table(DAYS[1], 51.0))
    with pytest.raises(RunError, match="data files have changed"):
        killed.resume(run, catalog=str(other))
    check_kept(run, before, f"its data files have changed since: {changed}")


def test_a_run_whose_data_the_catalog_never_had_is_refused(
    killed: Killed, traded: RunFolder
) -> None:
    text = (traded.path / "manifest.json").read_text()
    start = text.index('"data": [')
    stop = text.index("]", start)
    (traded.path / "manifest.json").write_text(text[:start] + '"data": [' + text[stop:])
    before = bytes_of(traded.path)
    with pytest.raises(RunError, match="its data came from elsewhere"):
        killed.resume(traded)
    check_kept(traded, before, "cannot be executed again")


@pytest.mark.parametrize("state", [RunState.COMPLETED, RunState.STOPPED])
def test_a_run_that_ended_is_none_to_resume(deck: Deck, state: RunState) -> None:
    run_id = deck.start(**PLAIN)
    with pytest.raises(StateError, match="it is running; only interrupted runs can"):
        deck.store.reopen(run_id)
    if state is RunState.COMPLETED:
        deck("POST", "/session/resume")
        deck.until("COMPLETED")
    deck.stop()
    before = bytes_of(deck.run(run_id).path)
    with pytest.raises(StateError, match=f"it is {state}; only interrupted runs can"):
        deck.store.reopen(run_id)
    assert bytes_of(deck.run(run_id).path) == before


# -- interrupted once more -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["traded", "walked"])
def test_a_resumption_that_is_stopped_changes_nothing(
    request: pytest.FixtureRequest, killed: Killed, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (backtest, replay_again):
        monkeypatch.setattr(module, "_PROGRESS_S", 0.0)
    run: RunFolder = request.getfixturevalue(kind)
    before = bytes_of(run.path)
    let_go()
    handle = killed.store.reopen(run.id)
    job = Resumption(ResumeJob(run.id, killed.settings))
    assert job.run(lambda _: job.stop()).cause == STOPPED_AGAIN
    handle.release()
    check_kept(run, before, STOPPED_AGAIN)


def test_one_that_is_cancelled_while_it_waits_is_interrupted_as_before(
    killed: Killed, traded: RunFolder
) -> None:
    before = bytes_of(traded.path)
    let_go()
    handle = killed.store.reopen(traded.id)
    traded.cancel()
    Resumption(ResumeJob(traded.id, killed.settings)).run()
    handle.release()
    check_kept(traded, before, "cancelled before it began")


def test_a_kill_in_the_middle_of_a_file_leaves_none_of_it(
    killed: Killed, traded: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a table that is sealed, and of a manifest: half of it was once an artifact."""

    class KilledError(BaseException):
        pass

    def write_half(path: Path, *_: Any) -> None:
        path.write_bytes(b"PAR1")
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(streams, "write_parquet", write_half)
        with pytest.raises(KilledError):
            streams.seal(traded.path)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", write_half)
        with pytest.raises(KilledError):
            write_manifest(traded.path, traded.manifest)
    assert len(unfinished(traded)) == 2
    killed.resume(traded)
    assert traded.manifest.state is RunState.COMPLETED
    assert unfinished(traded) == []
    assert [name for name in traded.manifest.files if "new" in name] == []


def unfinished(run: RunFolder) -> list[str]:
    return sorted(name for name in bytes_of(run.path) if name.endswith(UNFINISHED))


@pytest.mark.parametrize("kind", ["traded", "walked"])
@pytest.mark.parametrize("moved", [0, 1, 3])
def test_a_kill_while_the_new_files_take_their_place_loses_nothing(
    request: pytest.FixtureRequest,
    killed: Killed,
    kind: str,
    moved: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed after so many files: a second resumption comes to the same as an unbroken one."""
    run: RunFolder = request.getfixturevalue(kind)
    whole = shutil.copytree(run.path, run.path.parent.parent / "whole" / run.id)
    unbroken = Killed(killed.settings, whole.parent)
    unbroken.resume(RunFolder(whole))

    class KilledError(BaseException):
        pass

    def adopt_some(handle: RunHandle) -> None:
        files = sorted((handle.path / AGAIN).iterdir())
        for path in files[:moved]:
            path.replace(handle.path / path.name)
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(RunHandle, "adopt", adopt_some)
        patched.setattr(RunHandle, "finish", lambda handle, *_, **__: handle.release())
        killed.resume(run)
    assert killed.store.mark_interrupted() == (run.id,)
    assert not (run.path / AGAIN).exists()
    killed.resume(run)
    assert run.manifest.state is RunState.COMPLETED
    assert len(run.manifest.resumed) == 2
    assert came_to(run) == came_to(RunFolder(whole))


def test_progress_of_a_replay_that_is_resumed_is_seen(
    killed: Killed, walked: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    follow = ReplayAgain._compare

    def compare(again: ReplayAgain, *given: Any) -> None:
        seen.append(killed.store.open(walked.id).progress())
        follow(again, *given)

    monkeypatch.setattr(ReplayAgain, "_compare", compare)
    killed.resume(walked)
    fractions = [progress["fraction"] for progress in seen if progress is not None]
    assert fractions == sorted(fractions)
    assert len(fractions) > 1
    assert fractions[-1] > 0
