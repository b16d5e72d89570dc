"""Manifests, versions and files that are there as a whole or not at all."""

from __future__ import annotations

import json
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from app.errors import RunError
from app.runs import versions as made_with
from app.runs.manifest import as_json, hash_file, read_manifest, write_whole
from app.runs.versions import commit_of, hash_of_sources, versions
from tests.runs.conftest import OpenStore
from tests.runs.made import spec

ROOT = Path(__file__).parents[2]


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_a_manifest_is_read_as_it_was_written(open_store: OpenStore, tmp_path: Path) -> None:
    handle = open_store().create(spec(tmp_path))
    text = (handle.path / "manifest.json").read_text()
    assert read_manifest(handle.path) == handle.manifest
    found = json.loads(text)
    assert (found["format"], found["state"], found["config"]) == (
        1, "running", {"backtest": {"name": "small"}, "data": {"symbols": ["ON"]}},
    )  # fmt: skip
    assert text.startswith('{\n  "format": 1,\n  "id": ')
    handle.release()


def test_versions_name_what_is_installed() -> None:
    versions.cache_clear()  # sources may have changed since this process began
    found = versions()
    assert found.libraries["pyarrow"] == metadata.version("pyarrow")
    assert found.libraries["tzdata"] == metadata.version("tzdata")
    assert found.code == hash_of_sources(ROOT / "app")
    assert found.commit == commit_of(ROOT)
    assert "not installed" not in found.libraries.values()


def test_the_code_is_known_by_its_sources(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "b" / "c.py").write_text("2")
    seen = {hash_of_sources(tmp_path)}
    (tmp_path / "notes.txt").write_text("no source")
    assert {hash_of_sources(tmp_path)} == seen
    (tmp_path / "b" / "c.py").write_text("3")
    seen.add(hash_of_sources(tmp_path))
    (tmp_path / "b" / "c.py").rename(tmp_path / "b" / "d.py")
    seen.add(hash_of_sources(tmp_path))
    assert len(seen) == 3


def test_the_commit_is_of_exactly_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "site-packages"
    inner.mkdir()
    assert commit_of(tmp_path) is None
    git(tmp_path, "init")
    assert commit_of(tmp_path) is None, "nothing is committed"
    git(tmp_path, "commit", "--allow-empty", "-m", "first")
    assert commit_of(tmp_path) == git(tmp_path, "rev-parse", "HEAD")
    assert commit_of(inner) is None
    monkeypatch.setenv("PATH", str(inner))
    assert commit_of(tmp_path) is None, "there is no git"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"tzdata.zi": "# version 2030z\nrest"}, "system 2030z"),
        ({"Europe": ""}, "system, release unknown ({folder})"),
        ({}, "package {tzdata}"),
    ],
)
def test_the_release_of_the_time_zones(
    files: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(made_with, "TZPATH", (str(tmp_path / "none"), str(tmp_path)))
    package = metadata.version("tzdata")
    assert made_with._time_zones() == expected.format(folder=tmp_path, tzdata=package)


def test_files_are_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"first")
    write_whole(path, b"second", lasting=False)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"second")]
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError, match=r"folder: cannot be written: Is a directory"):
        write_whole(tmp_path / "folder", b"x")
    assert {p.name for p in tmp_path.iterdir()} == {"file", "folder"}
    with pytest.raises(RunError, match="none: cannot be read"):
        hash_file(tmp_path / "none")


def test_json_has_no_nan() -> None:
    assert (
        as_json({"b": float("nan"), "a": "\u00e4"}) == '{\n  "b": null,\n  "a": "ä"\n}\n'.encode()
    )
