"""A virtual environment for each peer, made once, of exactly what its requirements file pins."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.engines import PEERS

VERSIONS = ("3.12", "3.13", "3.14", "3.11")
INSTALL_S = 900
_USABLE = "import ensurepip, venv"


class PeerMissing(Exception):  # noqa: N818 - a state of this machine, not a fault
    """A peer cannot take part here; the text says why, without paths or addresses."""


def plain(text: str) -> str:
    """A line for the results: no addresses, no paths of this machine."""
    text = re.sub(r"\S*://\S+", "(address)", text.strip())
    return re.sub(r"(?<![\w.])/[\w.~+-]+(?:/[\w.~+-]*)+", "(path)", text)[:300]


def interpreters() -> Iterator[str]:
    """Usable ones, the likeliest to suit all peers first; ``PEER_PYTHON`` names another."""
    named = os.environ.get("PEER_PYTHON")
    folders = sorted((Path.home() / ".pyenv" / "versions").glob("*/bin"))
    for version in VERSIONS:
        program = f"python{version}"
        found = [named] if named else [shutil.which(program), *(str(f / program) for f in folders)]
        for candidate in found:
            if candidate and _works([candidate, "-c", _USABLE]):
                yield candidate


def _works(command: list[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def environment(peer: str, folder: Path) -> Path:
    """The interpreter of a peer's environment below ``folder``; made where it is not there.

    Raises PeerMissing.
    """
    pins = PEERS / "requirements" / f"{peer}.txt"
    python = folder / peer / "bin" / "python"
    stamp = folder / peer / "installed.txt"
    if stamp.is_file() and stamp.read_text("utf-8") == pins.read_text("utf-8"):
        return python
    base = next(interpreters(), None)
    if base is None:
        raise PeerMissing(f"no Python of {', '.join(VERSIONS)} with venv was found")
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{peer}.log"
    steps = (
        [base, "-m", "venv", "--clear", str(folder / peer)],
        [
            str(python), "-m", "pip", "install", "--no-deps", "--require-hashes", "--no-input",
            "--disable-pip-version-check", "--progress-bar", "off", "-r", str(pins),
        ],
    )  # fmt: skip
    with log.open("w", encoding="utf-8") as said:
        for step in steps:
            _install(step, said.fileno(), log)
    stamp.write_text(pins.read_text("utf-8"), "utf-8")
    return python


def _install(step: list[str], said: int, log: Path) -> None:
    try:
        done = subprocess.run(step, stdout=said, stderr=said, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        raise PeerMissing(f"installing took more than {INSTALL_S} s") from None
    if done.returncode:
        raise PeerMissing(f"not installed: {last_error(log.read_text('utf-8'))}")


def last_error(text: str) -> str:
    """The line of a log that says why, with what cannot be shown taken out."""
    lines = [line for line in text.splitlines() if line.strip()] or ["no reason was given"]
    errors = [line for line in lines if line.startswith("ERROR")] or lines
    return plain(errors[-1])
