"""What a run was made with: this program's code, Python, libraries and time zones."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from zoneinfo import TZPATH

import msgspec
from blake3 import blake3

from app import __version__

LIBRARIES = (
    "blake3", "exchange-calendars", "msgspec", "numpy", "pandas", "pyarrow", "pydantic",
    "ruamel.yaml", "sqlalchemy", "talipp", "tzdata",
)  # fmt: skip
_GIT_S = 5.0


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """``code`` is a hash of the sources, ``commit`` of git, null where there is none;
    ``time_zones`` is the release of the tz database that Python reads."""

    tapedeck: str
    code: str
    commit: str | None
    python: str
    platform: str
    time_zones: str
    libraries: dict[str, str]


@cache
def versions() -> Versions:
    """Of this process; they do not change while it lives."""
    package = Path(__file__).parents[1]
    return Versions(
        tapedeck=__version__,
        code=hash_of_sources(package),
        commit=commit_of(package.parent),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        platform=f"{platform.system()} {platform.machine()}",
        time_zones=_time_zones(),
        libraries={name: _version_of(name) for name in LIBRARIES},
    )


def hash_of_sources(package: Path) -> str:
    """BLAKE3 over the names and contents of all Python files, by name."""
    hasher = blake3()
    for path in sorted(package.rglob("*.py"), key=lambda p: p.relative_to(package).as_posix()):
        content = path.read_bytes()
        hasher.update(f"{path.relative_to(package).as_posix()}\0{len(content)}\0".encode())
        hasher.update(content)
    return str(hasher.hexdigest())


def commit_of(folder: Path) -> str | None:
    """The commit that is checked out in exactly this folder, None where git knows of none."""
    if not (folder / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True,
            timeout=_GIT_S, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):  # no git here, or no commit yet
        return None
    return done.stdout.strip()


def _version_of(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "not installed"


def _time_zones() -> str:
    """The system's tz database, which Python prefers, else that of the tzdata package."""
    for folder in map(Path, TZPATH):
        table = folder / "tzdata.zi"
        if table.is_file():
            with table.open(encoding="utf-8") as lines:
                return "system " + lines.readline().removeprefix("# version ").strip()
        if folder.is_dir() and any(folder.iterdir()):
            return f"system, release unknown ({folder})"
    return "package " + _version_of("tzdata")
