"""Settings: what is read, what is refused and with which words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from app.errors import SettingsError
from settings import PREFIXES, Settings, describe_settings, is_loopback, load_settings

EXAMPLE = Path(__file__).parents[1] / ".env.example"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def refused(**overrides: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(**overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_defaults_hold_without_any_setting() -> None:
    settings = load_settings()
    assert settings.data_manager_backtest_speed == 60
    assert settings.data_catalog_uri is None
    assert settings.data_upkeep_derived_intervals == (5, 15)
    assert settings.tapedeck_cache_dir == Path(".tapedeck")
    assert (settings.tapedeck_host, settings.tapedeck_port) == ("127.0.0.1", 8000)
    runs = (settings.tapedeck_runs_dir, settings.tapedeck_runs_at_once)
    assert runs == (Path("runs"), 1)
    assert (settings.tapedeck_configs_dir, settings.tapedeck_runs_database_url) == (None, None)


def test_environment_stands_above_env_file_and_overrides_above_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env").write_text("STREAM_MAX_CLIENTS=1\nFEED_READ_ROWS=2\nTICK_KEEP_ROWS=3\n")
    monkeypatch.setenv("FEED_READ_ROWS", "20")
    monkeypatch.setenv("TICK_KEEP_ROWS", "30")
    settings = load_settings(tick_keep_rows=300)
    found = (settings.stream_max_clients, settings.feed_read_rows, settings.tick_keep_rows)
    assert found == (1, 20, 300)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5,15", (5, 15)), ("[15, 5]", (5, 15)), (" 30 ", (30,)), ("[]", ()), ("2,1440", (2, 1440))],
)
def test_derived_intervals_are_read_from_commas_and_json(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: tuple[int, ...]
) -> None:
    monkeypatch.setenv("DATA_UPKEEP_DERIVED_INTERVALS", text)
    assert load_settings().data_upkeep_derived_intervals == expected


@pytest.mark.parametrize(
    "text", ["1", "1441", "5,5", "5;15", "five", "[5", "[2.5]", "[true]", "5,", '{"a": 5}', "[[5]]"]
)
def test_wrong_derived_intervals_are_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DATA_UPKEEP_DERIVED_INTERVALS", text)
    assert refused() == (
        f"DATA_UPKEEP_DERIVED_INTERVALS is {text!r}; "
        "allowed: different whole minutes from 2 to 1440, such as 5,15 or [5, 15]"
    )


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("DATA_MANAGER_BACKTEST_SPEED", "fast", "a number from 0 to 1000000"),
        ("DATA_MANAGER_BACKTEST_SPEED", "-1", "a number from 0 to 1000000"),
        ("DATA_MANAGER_BACKTEST_SPEED", "1000001", "a number from 0 to 1000000"),
        ("DATA_MANAGER_BACKTEST_SPEED", "nan", "a number from 0 to 1000000"),
        ("SESSION_HOURS", "night", "regular, extended or all"),
        ("MARKET_CLOSE_GRACE_SECONDS", "3601", "whole seconds from 0 to 3600"),
        ("SESSION_HISTORY_DAYS", "1.5", "whole days from 0 to 250"),
        ("TAPEDECK_PORT", "http", "a whole number from 0 to 65535"),
        ("TAPEDECK_RUNS_AT_ONCE", "0", "a whole number from 1 to 64"),
        ("LOG_FORMAT", "xml", "people or json"),
        ("LOG_LEVEL", "loud", "debug, info, warning, error or critical"),
    ],
)
def test_a_wrong_value_gives_one_line_with_name_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(name, value)
    assert refused().startswith(f"{name} is {value!r}; allowed: {allowed}")


def test_two_wrong_values_still_give_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEED_READ_ROWS", "0")
    monkeypatch.setenv("LOG_FORMAT", "xml")
    message = refused()
    assert "FEED_READ_ROWS is '0'" in message
    assert "LOG_FORMAT is 'xml'" in message


def test_an_unknown_calendar_names_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION_CALENDAR", "XHKK")
    assert "SESSION_CALENDAR is 'XHKK' (nearest: XHKG" in refused()
    monkeypatch.setenv("SESSION_CALENDAR", "24/7")
    assert load_settings().session_calendar == "24/7"


def test_an_unknown_name_in_the_env_file_is_refused_with_the_nearest() -> None:
    Path(".env").write_text("# ours\nSTREAM_MAX_CLIENT=5\n")
    assert refused() == ".env: unknown setting STREAM_MAX_CLIENT; did you mean STREAM_MAX_CLIENTS?"
    Path(".env").write_text("LOG_ZZZZZZZZZZ=5\n")
    assert refused() == ".env: unknown setting LOG_ZZZZZZZZZZ; .env.example lists all of them"


def test_names_of_others_in_the_env_file_are_left_alone() -> None:
    Path(".env").write_text("AWS_REGION=eu-west-1\nHTTP_PROXY=http://proxy:3128\n")
    assert load_settings().stream_max_clients == 200


def test_a_misspelt_variable_of_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEDECK_TEST_DATA", "data")
    assert load_settings().tapedeck_port == 8000
    monkeypatch.setenv("TAPEDECK_PORTS", "9")
    assert refused().endswith("unknown setting TAPEDECK_PORTS; did you mean TAPEDECK_PORT?")


def test_an_unknown_override_is_refused() -> None:
    assert refused(tapedeck_prot=1) == "unknown setting TAPEDECK_PROT; did you mean TAPEDECK_PORT?"


def test_an_env_file_that_is_no_env_file_is_refused_without_its_words() -> None:
    Path(".env").write_text("FEED_READ_ROWS=2\nTAPEDECK_API_KEY 's3cret\n")
    assert refused() == ".env: line 2 is not NAME=value"
    Path(".env").write_bytes(b"\xff\xfe\x00")
    assert refused().startswith(".env cannot be read: ")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "example.com"])
def test_an_open_host_needs_a_key(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("TAPEDECK_HOST", host)
    message = refused()
    assert f"TAPEDECK_HOST is {host!r}" in message
    assert "set TAPEDECK_API_KEY" in message
    monkeypatch.setenv("TAPEDECK_API_KEY", "s3cret")
    assert load_settings().tapedeck_host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    assert is_loopback(host)
    assert load_settings(tapedeck_host=host).tapedeck_api_key is None


def test_a_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEDECK_API_KEY", "s3cret with blanks")
    assert refused() == "TAPEDECK_API_KEY is not usable; allowed: printable ASCII without blanks"
    monkeypatch.setenv("TAPEDECK_API_KEY", "s3cret")
    settings = load_settings()
    assert "s3cret" not in repr(settings)
    assert settings.tapedeck_api_key is not None
    assert settings.tapedeck_api_key.get_secret_value() == "s3cret"


@pytest.mark.parametrize("url", ["s3cret", "nosql://u:s3cret@h/n", "sqlite+s3cret:///x"])
def test_a_database_url_is_checked_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("TAPEDECK_RUNS_DATABASE_URL", url)
    assert refused().startswith("TAPEDECK_RUNS_DATABASE_URL is not usable; allowed: an SQLAlchemy")
    assert "s3cret" not in refused()
    monkeypatch.setenv("TAPEDECK_RUNS_DATABASE_URL", "sqlite:///s3cret.sqlite")
    settings = load_settings()
    assert "s3cret" not in repr(settings)
    assert settings.tapedeck_runs_database_url is not None
    assert settings.tapedeck_runs_database_url.get_secret_value() == "sqlite:///s3cret.sqlite"


def test_an_empty_value_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TAPEDECK_API_KEY", "TAPEDECK_PORT", "TAPEDECK_CONFIGS_DIR"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("TAPEDECK_RUNS_DATABASE_URL", "")
    settings = load_settings()
    assert (settings.tapedeck_api_key, settings.tapedeck_port) == (None, 8000)
    assert (settings.tapedeck_configs_dir, settings.tapedeck_runs_database_url) == (None, None)


def test_env_example_has_every_setting_with_its_default_and_meaning() -> None:
    blocks = EXAMPLE.read_text().strip().split("\n\n")[1:]
    found = [re.fullmatch(r"# (.+)\n# Allowed: (.+)\.\n#([A-Z_]+)=(.*)", b) for b in blocks]
    rows = [(m[3], m[4], m[2], m[1]) for m in found if m is not None]
    assert len(rows) == len(blocks)
    assert rows == [tuple(row) for row in describe_settings()]


def test_env_example_uncommented_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "all.env"
    path.write_text(re.sub(r"^#([A-Z_]+=)", r"\1", EXAMPLE.read_text(), flags=re.M))
    assert load_settings(path) == load_settings(None)


def test_every_setting_has_one_of_the_prefixes() -> None:
    assert [f for f in Settings.model_fields if not f.upper().startswith(PREFIXES)] == []
