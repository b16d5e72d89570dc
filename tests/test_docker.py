"""Dockerfile and compose.yaml: every file, command, setting and address in them exists."""

from __future__ import annotations

import fnmatch
import importlib
import importlib.util
import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import typer

from app.api.deck import BUILT
from app.api.server import create_app
from app.cli import cli
from app.errors import SettingsError
from app.managers.system_manager import SystemManager
from settings import Settings, load_settings

ROOT = Path(__file__).parents[1]
yaml: Any = importlib.import_module("yaml")  # it ships no types


class Instruction(NamedTuple):
    word: str
    text: str


def read_dockerfile() -> list[Instruction]:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    lines = re.sub(r"\\\n\s*", " ", kept).splitlines()
    return [Instruction(*line.split(None, 1)) for line in lines if line.strip()]


DOCKERFILE = read_dockerfile()
FINAL = DOCKERFILE[max(n for n, i in enumerate(DOCKERFILE) if i.word == "FROM") :]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICE: dict[str, Any] = COMPOSE["services"]["tapedeck"]


def texts(word: str, stage: list[Instruction] = FINAL) -> list[str]:
    return [i.text for i in stage if i.word == word]


def environment() -> dict[str, str]:
    """ENV of the final image."""
    return dict(pair.split("=", 1) for text in texts("ENV") for pair in shlex.split(text))


def image_settings() -> dict[str, str]:
    known = Settings.model_fields
    return {n.lower(): v for n, v in environment().items() if n.lower() in known}


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out of the build; the last rule that fits decides."""
    found = False
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        rule = line.strip()
        if rule and not rule.startswith("#"):
            keep, pattern = rule.startswith("!"), rule.lstrip("!").rstrip("/")
            if fnmatch.fnmatch(path, pattern) or path.startswith(pattern + "/"):
                found = not keep
    return found


def copied() -> list[str]:
    """Sources in the project of every COPY."""
    lines = [shlex.split(i.text) for i in DOCKERFILE if i.word == "COPY"]
    return [s for words in lines if not words[0].startswith("--from") for s in words[:-1]]


def test_copied_files_exist_and_are_sent_to_the_build() -> None:
    assert copied()
    for source in copied():
        assert (ROOT / source).exists(), f"COPY {source}: no such file"
        assert not ignored(source.rstrip("/")), f"COPY {source}: .dockerignore keeps it out"


def test_what_the_server_imports_is_copied() -> None:
    assert {"app/", "settings.py", "requirements.lock"} <= set(copied())


def test_secrets_and_data_stay_out_of_the_build() -> None:
    assert all(ignored(path) for path in (".env", ".tapedeck", ".venv", ".git", "tests"))


def test_base_images_are_pinned_to_a_python_that_the_project_takes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    low, high = re.findall(r"3\.(\d+)", project["requires-python"])
    pythons = [text for text in texts("FROM", DOCKERFILE) if not text.startswith("node:")]
    assert len(pythons) == 2
    for text in pythons:
        tag = text.split()[0].partition(":")[2]
        minor = re.match(r"3\.(\d+)-slim", tag)
        assert minor is not None, f"FROM {text}: no pinned slim Python"
        assert int(low) <= int(minor[1]) < int(high)


def test_the_image_has_the_deck_of_its_own_build() -> None:
    [base] = [text for text in texts("FROM", DOCKERFILE) if text.startswith("node:")]
    oldest = runpy.run_path(str(ROOT / "scripts" / "build_deck.py"))["OLDEST_NODE"]
    version = re.fullmatch(r"node:(\d+)-slim AS deck", base)
    assert version is not None, f"FROM {base}: no pinned slim Node"
    assert int(version[1]) > oldest[0]
    [build] = [i.text for i in DOCKERFILE if "npm" in i.text]
    assert build.startswith("npm ci && npm run build")
    [copy] = [text for text in texts("COPY") if "--from=deck" in text]
    made = re.search(r"--outDir (\S+)", build)
    assert made is not None
    assert copy.split()[1:] == [made[1], str(BUILT.relative_to(ROOT))]
    assert ignored("deck/node_modules/x")
    assert ignored("app/api/built/index.html")


def test_dependencies_are_installed_by_hash() -> None:
    [install] = [i.text for i in DOCKERFILE if "pip install" in i.text]
    assert "--require-hashes -r requirements.lock" in install


def test_entrypoint_and_command_exist() -> None:
    [entrypoint] = texts("ENTRYPOINT")
    [command] = texts("CMD")
    python, flag, module = json.loads(entrypoint)
    assert (python, flag) == ("python", "-m")
    assert importlib.util.find_spec(module + ".__main__") is not None
    group = typer.main.get_command(cli)
    [name] = json.loads(command)
    assert name in getattr(group, "commands", {})


def test_the_command_runs_as_the_image_runs_it() -> None:
    [entrypoint], [command] = texts("ENTRYPOINT"), texts("CMD")
    words = [sys.executable, *json.loads(entrypoint)[1:], *json.loads(command), "--help"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--port" in done.stdout


def test_healthcheck_asks_the_port_and_a_route_that_exist() -> None:
    [text] = texts("HEALTHCHECK")
    python, flag, code = json.loads(text[text.index("CMD") + 3 :])
    assert (python, flag) == ("python", "-c")
    compile(code, "healthcheck", "exec")
    found = re.search(r"'(http://[^']+)'", code)
    assert found is not None
    url = urlsplit(found[1])
    [port] = texts("EXPOSE")
    assert (url.hostname, str(url.port), image_settings()["tapedeck_port"]) == (
        "127.0.0.1", port, port,
    )  # fmt: skip
    settings = load_settings(env_file=None, tapedeck_host="127.0.0.1")
    app = create_app(settings, SystemManager.from_settings(settings))
    assert url.path in {getattr(route, "path", None) for route in app.routes}


def test_image_runs_as_an_ordinary_user() -> None:
    [user] = texts("USER")
    created = " ".join(texts("RUN"))
    uid, gid = user.split(":")
    assert 0 not in (int(uid), int(gid))
    assert f"--uid {uid}" in created
    assert f"--gid {gid}" in created


def test_image_settings_are_right_and_need_a_key() -> None:
    given = image_settings()
    assert set(environment()) - {n.upper() for n in given} == {
        "PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE",
    }  # fmt: skip
    with pytest.raises(SettingsError, match="TAPEDECK_API_KEY"):
        load_settings(env_file=None, **given)
    settings = load_settings(env_file=None, tapedeck_api_key="k", **given)
    assert settings.data_catalog_uri == "/catalog"


def test_what_is_written_lies_in_volumes() -> None:
    [text] = texts("VOLUME")
    given = image_settings()
    assert set(json.loads(text)) == {given["data_catalog_uri"], given["tapedeck_cache_dir"]}


def test_compose_sets_known_settings_and_asks_for_the_key() -> None:
    names = set(SERVICE["environment"])
    assert names <= {n.upper() for n in Settings.model_fields}
    assert SERVICE["environment"]["TAPEDECK_API_KEY"].startswith("${TAPEDECK_API_KEY:?")


def test_compose_fits_the_image() -> None:
    assert (ROOT / SERVICE["build"] / "Dockerfile").is_file()
    [port] = texts("EXPOSE")
    assert SERVICE["ports"] == [f"127.0.0.1:{port}:{port}"]
    [text] = texts("VOLUME")
    mounted = {m.removesuffix(":ro").rpartition(":")[2] for m in SERVICE["volumes"]}
    assert mounted == set(json.loads(text))
    named = {m.split(":")[0] for m in SERVICE["volumes"] if not m.startswith("$")}
    assert named == set(COMPOSE["volumes"])


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not on this machine")
    done = subprocess.run([hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
