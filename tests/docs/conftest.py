"""A real server on the synthetic catalog, and an S3, as the pages use them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from app.catalog.synthetic import write_synthetic
from tests.docs.pages import ROOT


@pytest.fixture(scope="package")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalog that scripts/serve writes on a fresh machine."""
    root = tmp_path_factory.mktemp("synthetic")
    write_synthetic(root)
    return root


@pytest.fixture(scope="package")
def plain_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """As a new user's shell: no settings, ``tapedeck`` on the path, a curl that fails on errors."""
    home = tmp_path_factory.mktemp("home")
    (home / ".curlrc").write_text("fail-with-body\nshow-error\n", "utf-8")
    command = home / "tapedeck"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m app.cli "$@"\n', "utf-8")
    command.chmod(0o755)
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    return kept | {
        "HOME": str(home),
        "PATH": f"{home}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "TAPEDECK_CACHE_DIR": str(home / "cache"),
    }


@pytest.fixture(scope="package")
def configs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of configurations that the server may run; runs lie beside it."""
    folder = tmp_path_factory.mktemp("server") / "configs"
    folder.mkdir()
    return folder


@pytest.fixture(scope="package")
def served_url(synthetic: Path, plain_environment: dict[str, str], configs: Path) -> Iterator[str]:
    """The URL of ``tapedeck serve``; stopped as a person would, with exit code 0."""
    process = subprocess.Popen(
        ["tapedeck", "serve", "--port", "0", "--catalog", str(synthetic)],
        env=plain_environment | {"TAPEDECK_CONFIGS_DIR": str(configs)}, cwd=configs.parent,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        with process:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert "http://" in first, f"tapedeck serve said: {first!r}"
            drain = threading.Thread(target=process.stdout.read)
            drain.start()
            yield "http://" + first.split("http://")[1].strip().removesuffix("/api/v1")
            process.terminate()
            assert process.wait(10) == 0
            drain.join(10)
    finally:
        process.kill()


@pytest.fixture(scope="package")
def s3() -> Iterator[dict[str, str]]:
    """The environment of an S3 with the bucket that the page names."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "docs", "AWS_SECRET_ACCESS_KEY": "docs", "AWS_REGION": "us-east-1"}
    url = f"http://{host}:{port}"
    try:
        client = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1",
            aws_access_key_id="docs", aws_secret_access_key="docs",
        )  # fmt: skip
        client.create_bucket(Bucket="market-data")
        client.close()
        yield keys | {"AWS_ENDPOINT_URL": url}
    finally:
        server.stop()
