"""A server with a folder of configurations, shared by the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.small_catalog import build
from tests.lockstep.played import Host, hosted


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Over the small catalog."""
    folder = tmp_path_factory.mktemp("host")
    with hosted(build(folder / "catalog"), folder) as one:
        yield one


@pytest.fixture
def host(small: Host) -> Iterator[Host]:
    """The same, with no session left behind."""
    yield small
    small.post("stop")
