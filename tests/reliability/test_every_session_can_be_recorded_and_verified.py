"""Every session can be recorded: what it was told stands in its journal, and it is verified."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from app.managers.system_manager import SessionConfig, SystemManager
from app.managers.system_manager.plan import TradingPlan, session_config
from app.managers.system_manager.session_record import RecordPlan
from app.managers.system_manager.verify import Verifier
from app.runs.folder import RunFolder
from app.runs.journal import JOURNAL, read_journal
from app.runs.manifest import RunKind, RunState
from app.runs.store import RunStore
from app.runs.verify import Verification
from app.trading.config import read_config_file
from settings import Settings
from tests.client.small_catalog import DAYS, bar_table, day_path_of, write
from tests.reliability.deck import PLAIN, Deck, Here, names

ORDER = {"symbol": "AIG", "side": "buy", "quantity": 5}


def verified(deck: Deck, run_id: str, settings: Settings, kind: type[Verifier] = Here) -> None:
    deck.stop()
    found = kind(deck.run(run_id), settings).run()
    assert found.equal, found
    assert (found.inputs, found.edited) == ((), ()), found


def drive(deck: Deck) -> None:
    """Every command there is, and every way back: within the day, to an earlier one, and from
    a speed at which the clock stands between two slices."""
    deck.step("slice", 5)
    deck("PATCH", "/session", {"speed": 600})
    deck("POST", "/session/resume")
    deck("POST", "/session/pause")
    deck("POST", "/session/run-to", {"until": {"symbol": "AIG", "above": 51.0}})
    deck.seek("2013-10-07T14:00:30Z")
    deck.step("day", 1)
    deck("POST", "/session/run-to", {"time": "2013-10-08T14:00:00Z"})
    deck.seek("2013-10-07T15:00:00Z")
    deck.step("bar", 3)


def test_a_session_without_strategies_is_verified_with_all_that_it_was_told(
    deck: Deck, settings: Settings
) -> None:
    run_id = deck.start(**PLAIN)
    drive(deck)
    journal = deck.journal(run_id)
    assert names(journal) == [
        "step", "speed", "resume", "pause", "run-to", "seek", "epoch", "step", "run-to", "seek",
        "epoch", "step",
    ]  # fmt: skip
    assert journal[0].args == {"unit": "slice", "count": 5}
    assert journal[4].args == {"until": {"symbol": "AIG", "above": 51.0}}
    assert [e.args for e in journal if e.command == "seek"] == [
        {"time": "2013-10-07T14:00:30Z"}, {"time": "2013-10-07T15:00:00Z"},
    ]  # fmt: skip
    assert [(e.epoch, e.day) for e in journal[5:7]] == [(1, 0), (2, 0)]
    assert [(e.epoch, e.day) for e in journal[9:11]] == [(2, 1), (3, 0)]
    status = deck.stop()
    (last,) = deck.journal(run_id)[12:]
    assert (last.command, last.args) == ("end", {"outcome": "stopped"})
    assert (last.seq, last.digest) == (status["seq"], status["digest"])
    manifest = deck.run(run_id).manifest
    assert (manifest.kind, manifest.state) == (RunKind.REPLAY, RunState.STOPPED)
    assert manifest.digest == status["digest"]
    assert manifest.events_digest is None
    assert deck.run(run_id).summary() == {
        "outcome": "stopped", "digest": status["digest"], "slices": status["seq"],
        "items": status["progress"]["items_delivered"], "discarded": status["discarded"],
    }  # fmt: skip
    verified(deck, run_id, settings, Verifier)


def test_it_is_the_record_of_a_straight_replay_where_it_completes(
    deck: Deck, settings: Settings
) -> None:
    straight = deck.start(**PLAIN)
    deck("POST", "/session/resume")
    deck.until("COMPLETED")
    told = deck.start(**PLAIN)
    drive(deck)
    deck("PATCH", "/session", {"speed": 0})
    deck("POST", "/session/resume")
    deck.until("COMPLETED")
    a, b = (deck.run(run_id) for run_id in (straight, told))
    assert (a.manifest.state, b.manifest.state) == (RunState.COMPLETED, RunState.COMPLETED)
    assert a.manifest.digest == b.manifest.digest
    assert a.summary() == b.summary()
    verified(deck, told, settings)


def test_after_its_end_a_session_that_is_taken_up_again_is_another_run(
    deck: Deck, settings: Settings
) -> None:
    first = deck.start(**PLAIN)
    deck("POST", "/session/resume")
    before = deck.until("COMPLETED")
    second = deck.seek("2013-10-08T15:00:00Z")["run"]  # within the last day: the clock is set back
    assert second != first
    deck("POST", "/session/resume")
    assert deck.until("COMPLETED")["digest"] == before["digest"]
    third = deck.seek("2013-10-07T15:00:00Z")["run"]  # executed again
    deck.step("bar", 1)
    assert len({first, second, third}) == 3
    assert names(deck.journal(second)) == ["epoch", "resume", "end"]
    assert names(deck.journal(third)) == ["epoch", "step"]
    for run_id in (first, second):
        assert deck.run(run_id).manifest.state is RunState.COMPLETED
        assert deck.run(run_id).manifest.digest == before["digest"]
    deck.stop()
    for run_id in (second, third):
        verified(deck, run_id, settings)


def test_a_session_that_trades_has_its_orders_and_commands_in_the_journal(
    deck: Deck, settings: Settings
) -> None:
    run_id = deck.start(config="once.yaml", speed=0)
    deck.step("bar", 20)
    sent = deck("POST", "/session/orders", {**ORDER, "type": "limit", "limit_price": 40.0})
    deck.step("bar", 5)
    deck("DELETE", f"/session/orders/{sent['order']['id']}")
    journal = deck.journal(run_id)
    assert names(journal) == ["step", "order_request", "step", "cancel_request"]
    order = journal[1]
    assert order.event is not None
    assert order.event["orders"][0]["order_id"] == "manual-1"
    assert (order.time_ns, order.seq) == (order.event["ts_event_ns"], sent["seq"])
    verified(deck, run_id, settings)


def test_a_seek_back_ends_the_run_and_its_successor_has_the_orders_that_were_kept(
    deck: Deck, settings: Settings
) -> None:
    first = deck.start(config="once.yaml", speed=0)
    deck.step("bar", 20)
    deck("POST", "/session/orders", ORDER)
    deck.step("bar", 20)
    deck("POST", "/session/orders", {**ORDER, "quantity": 7})
    second = deck.seek("2013-10-07T13:55:00Z")["run"]
    assert second != first
    deck.step("bar", 3)
    journal = deck.journal(first)
    assert names(journal)[-2:] == ["seek", "end"]
    assert journal[-2].args == {"time": "2013-10-07T13:55:00Z"}
    assert {entry.epoch for entry in journal} == {1}
    kept = deck.journal(second)
    assert names(kept) == ["order_request", "epoch", "step"]
    assert {entry.epoch for entry in kept} == {2}
    assert kept[0].event == journal[1].event
    assert kept[0].place == journal[1].place
    deck.stop()
    for run_id in (first, second):
        assert deck.run(run_id).manifest.state is RunState.STOPPED
        verified(deck, run_id, settings)


def test_a_run_without_trading_has_no_report_and_says_why(deck: Deck) -> None:
    run_id = deck.start(**PLAIN)
    early = deck.http.get(f"/runs/{run_id}/report")
    assert (early.status_code, early.json()["state"]) == (409, "running")
    deck.stop()
    answer = deck.http.get(f"/runs/{run_id}/report")
    assert answer.status_code == 404
    assert "it is a replay, in which nothing traded" in answer.json()["detail"]
    found = deck("GET", f"/runs/{run_id}")
    assert (found["kind"], found["resumed"]) == ("replay", [])
    assert found["config"]["symbols"] == ["AIG"]
    assert sorted(found["files"]) == ["config.yaml", "journal.jsonl", "summary.json"]


def test_without_record_there_is_none(deck: Deck) -> None:
    assert deck("POST", "/session", {**PLAIN})["run"] is None
    assert list(deck.store.root.glob("*-*")) == []


# -- what is found ---------------------------------------------------------------------------------


@pytest.fixture
def told(deck: Deck, tmp_path: Path) -> RunFolder:
    """A replay that was stepped a few times, and stopped."""
    run_id = deck.start(**PLAIN)
    for count in (5, 7, 9):
        deck.step("bar", count)
    deck.stop()
    return RunFolder(shutil.copytree(deck.run(run_id).path, tmp_path / "copy" / run_id))


def verify(run: RunFolder, settings: Settings, catalog: Path | None = None) -> Verification:
    return Here(run, settings, catalog=None if catalog is None else str(catalog)).run()


def test_a_data_file_that_was_altered_is_named_with_the_first_place_that_differs(
    told: RunFolder, settings: Settings, catalog: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(catalog, tmp_path / "other")
    write(other / day_path_of("bars_1m", "AIG", DAYS[0]), bar_table(DAYS[0], 51.0))
    found = verify(told, settings, other)
    assert not found.equal
    assert found.came_to[0].path == "journal[2]"  # the first stands before the first bar
    assert {d.path for d in found.came_to[1:]} >= {"digest"}
    assert f"data.{day_path_of('bars_1m', 'AIG', DAYS[0])}" in {d.path for d in found.inputs}


def test_a_line_that_was_altered_is_found(told: RunFolder, settings: Settings) -> None:
    entries = list(read_journal(told.path) or ())
    entries[2] = msgspec.structs.replace(entries[2], seq=entries[2].seq + 1)
    lines = [msgspec.json.encode(entry) + b"\n" for entry in entries]
    (told.path / JOURNAL).write_bytes(b"".join(lines))
    found = verify(told, settings)
    assert found.broken == ("journal.jsonl is not what the run left",)
    (place,) = (d for d in found.came_to if d.path.startswith("journal"))
    assert place.path == "journal[3]"
    assert place.a[0] == place.b[0] + 1


def test_a_record_whose_session_never_began_is_ended(settings: Settings) -> None:
    """What is built and not started has no merge thread that would end it."""

    class RefusedError(Exception):
        pass

    def refuse(_: object) -> None:
        raise RefusedError

    manager = SystemManager.from_settings(settings)
    manager.on_session(refuse)
    store = RunStore(settings.tapedeck_runs_dir)
    assert settings.tapedeck_configs_dir is not None
    file = read_config_file(settings.tapedeck_configs_dir / "once.yaml")
    trading = TradingPlan(file.config, file.folder, store, watched=True)
    wish = SessionConfig(("AIG",), "2013-10-07", "2013-10-08")
    with pytest.raises(RefusedError):
        manager.start_session(session_config(file.config), trading)
    with pytest.raises(RefusedError):
        manager.start_session(wish, record=RecordPlan(store, wish))
    assert store.mark_interrupted() == ()
    assert {record.state for record in store.list()} == {RunState.STOPPED, RunState.FAILED}
    store.close()


@pytest.mark.parametrize(
    "altered",
    [{"day": 99}, {"day": -3}, {"day": 10**30}, {"time_ns": 10**30}, {"time_ns": -(10**30)}],
)
def test_a_place_outside_of_the_session_is_told(
    told: RunFolder, settings: Settings, altered: dict[str, int]
) -> None:
    entries = list(read_journal(told.path) or ())
    entries[2] = msgspec.structs.replace(entries[2], **altered)
    lines = [msgspec.json.encode(entry) + b"\n" for entry in entries]
    (told.path / JOURNAL).write_bytes(b"".join(lines))
    found = verify(told, settings)
    assert not found.equal
    (place,) = (d for d in found.came_to if d.path.startswith("journal"))
    assert (place.path, place.a, place.b) == (
        "journal[3]", entries[2].place, "outside of the session",
    )  # fmt: skip
