"""Logs come out whole, in order, with both times, and also when the process ends."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from app.errors import SettingsError
from app.logs import Place, configure_logging
from app.times import parse_time_ns

PLACE = Place("s1", parse_time_ns("2013-10-07T13:31:00.5Z"), 2, 42)
log = logging.getLogger("tapedeck.test")


def _json_lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_for_people_has_wall_time_simulated_time_level_and_place() -> None:
    out = io.StringIO()
    logs = configure_logging("info", "people", lambda: PLACE, out)
    log.info("read %d rows", 7)
    log.debug("not shown")
    logs.close()
    found = re.fullmatch(r"(\S+) (\[.*\]) (.*)", out.getvalue().rstrip())
    assert found is not None
    wall, place, rest = found.groups()
    assert parse_time_ns(wall) > parse_time_ns("2020-01-01T00:00:00Z")
    assert place == "[2013-10-07T13:31:00.5Z s1 #42]"
    assert rest == "INFO tapedeck.test (MainThread): read 7 rows"


def test_json_lines_carry_the_trace_and_stay_one_line_each() -> None:
    out = io.StringIO()
    logs = configure_logging("DEBUG", "json", None, out)
    try:
        raise ValueError("bad\nrow \udcff")
    except ValueError:
        log.exception("file %s", "a\nb")
    logs.close()
    (line,) = _json_lines(out)
    assert line["message"] == "file a\nb"
    assert line["level"] == "error"
    assert [line[name] for name in ("simulated", "session", "epoch", "seq")] == [None] * 4
    assert "ValueError: bad\nrow \udcff" in line["trace"]


def test_json_lines_say_where_in_the_replay_they_were_logged() -> None:
    out = io.StringIO()
    places = iter([PLACE, Place("run-1"), None])
    logs = configure_logging("info", "json", lambda: next(places), out)
    for _ in range(3):
        log.info("here")
    logs.close()
    said = [
        tuple(line[name] for name in ("session", "simulated", "epoch", "seq"))
        for line in _json_lines(out)
    ]
    assert said == [
        ("s1", "2013-10-07T13:31:00.5Z", 2, 42), ("run-1", None, None, None), (None,) * 4,
    ]  # fmt: skip


def test_the_text_is_that_of_the_moment_of_logging() -> None:
    out = io.StringIO()
    logs = configure_logging("info", "json", None, out)
    rows = [1]
    log.info("rows %s", rows)
    rows.append(2)
    logs.close()
    assert _json_lines(out)[0]["message"] == "rows [1]"


def test_many_threads_lose_nothing_and_each_stays_in_its_order() -> None:
    out = io.StringIO()
    logs = configure_logging("info", "json", None, out)
    start = threading.Barrier(4)

    def work(number: int) -> None:
        start.wait(10)
        for i in range(500):
            log.info("%d %d", number, i)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    logs.close()
    lines = _json_lines(out)
    said = [tuple(map(int, line["message"].split())) for line in lines]
    assert len(said) == 2000
    for number in range(4):
        assert [i for n, i in said if n == number] == list(range(500))
    assert [parse_time_ns(line["time"]) for line in lines] == sorted(
        parse_time_ns(line["time"]) for line in lines
    )


class _Stuck(io.StringIO):
    """A terminal that takes nothing until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.let = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        assert self.let.wait(30)
        return super().write(text)


def test_a_terminal_that_stands_still_holds_up_no_caller_and_loses_nothing() -> None:
    out = _Stuck()
    logs = configure_logging("info", "people", None, out)
    log.info("first")
    assert out.reached.wait(10)
    for i in range(1000):  # the writer stands in the first: all these only queue
        log.info("then %d", i)
    assert not out.let.is_set()
    out.let.set()
    logs.close()
    lines = out.getvalue().splitlines()
    assert [line.rsplit(": ", 1)[1] for line in lines] == [
        "first",
        *(f"then {i}" for i in range(1000)),
    ]


def test_what_is_logged_after_draining_is_written_at_once_and_after_the_rest() -> None:
    out = io.StringIO()
    logs = configure_logging("info", "json", None, out)
    log.info("before")
    logs.drain()
    log.info("after")
    assert [line["message"] for line in _json_lines(out)] == ["before", "after"]
    logs.close()
    logs.close()
    log.info("no longer ours")
    assert len(_json_lines(out)) == 2


def test_closing_leaves_the_root_logger_as_it_was() -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    configure_logging("debug", "people", None, io.StringIO()).close()
    assert (root.level, list(root.handlers)) == before


def test_the_end_of_the_process_writes_what_waits() -> None:
    program = (
        "import logging\n"
        "from app.logs import Place, configure_logging\n"
        "configure_logging('info', 'people', lambda: Place('s9', 0, 1, 0))\n"
        "for i in range(3000): logging.getLogger('end').info('line %d', i)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        timeout=60,
    )
    lines = done.stderr.splitlines()
    assert [line.rsplit(" ", 1)[1] for line in lines] == [str(i) for i in range(3000)]
    assert "[1970-01-01T00:00:00Z s9 #0]" in lines[-1]


def test_the_writer_thread_has_a_name() -> None:
    logs = configure_logging("info", "people", None, io.StringIO())
    assert "LogWriter" in [thread.name for thread in threading.enumerate()]
    logs.close()
    assert "LogWriter" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize(("level", "fmt"), [("loud", "people"), ("info", "xml")])
def test_a_wrong_level_or_format_is_refused(level: str, fmt: str) -> None:
    with pytest.raises(SettingsError, match=r"loud|xml"):
        configure_logging(level, fmt)  # type: ignore[arg-type]
