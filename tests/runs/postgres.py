"""A real PostgreSQL of its own, for as long as a test needs one."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

READY = "database system is ready to accept connections"
_ACCOUNT = "postgres"  # a server refuses to run as root


def program(name: str) -> str:
    """A program of PostgreSQL; skips where there is none."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    found = shutil.which(name) or (str(places[0]) if places else None)
    if found is None:
        pytest.skip(f"PostgreSQL is not installed: there is no {name}")
    return found


def account() -> dict[str, Any]:
    """Who runs the server: this user, or postgres where this is root; skips without one."""
    if os.geteuid() != 0:
        return {}
    import pwd

    try:
        found = pwd.getpwnam(_ACCOUNT)
    except KeyError:
        pytest.skip(f"PostgreSQL does not run as root, and there is no account {_ACCOUNT!r}")
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}


@contextmanager
def running_postgres() -> Iterator[str]:
    """The URL of an empty cluster on a free port of the loopback."""
    initdb, server, who = program("initdb"), program("postgres"), account()
    folder = Path(tempfile.mkdtemp(prefix="tapedeck-pg-"))
    try:
        if who:
            os.chown(folder, who["user"], who["group"])
        done = subprocess.run(
            [initdb, "-D", folder / "data", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-N"],
            cwd=folder, capture_output=True, text=True, check=False, **who,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        port = free_port()
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        terms = [word for pair in options.items() for word in ("-c", "=".join(pair))]
        with subprocess.Popen(
            [server, "-D", folder / "data", "-p", str(port), *terms],
            cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **who,
        ) as process:  # fmt: skip
            try:
                wait_until_ready(process)
                yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
            finally:
                process.send_signal(signal.SIGQUIT)
                process.communicate(timeout=30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if READY in line:
            return
    raise AssertionError(f"PostgreSQL did not start:\n{said}")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
