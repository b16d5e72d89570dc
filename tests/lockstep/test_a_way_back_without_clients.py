"""A session that is COMPLETED has lost its clients: without them it stays as it is."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.api.small_catalog import build
from tests.lockstep.played import Player, check_same, hosted, inline
from tests.lockstep.test_turns import LOCKSTEP, ORDERS, with_file


def test_a_seek_back_for_which_no_client_comes_is_refused(tmp_path: Path) -> None:
    catalog = build(tmp_path / "catalog")
    (tmp_path / "buys.py").write_text(ORDERS)
    (tmp_path / "run.yaml").write_text(json.dumps(with_file()))
    base = inline(tmp_path / "run.yaml", catalog, tmp_path)
    with hosted(catalog, tmp_path, lockstep_join_seconds=4) as host:
        client = Player(tmp_path / "buys.py", host.url, "alpha")
        host.start(config="run.yaml", set=[LOCKSTEP], record=True)
        assert client.ended() == "COMPLETED"

        refused = host.post("seek", time="2013-10-07T15:00:00Z")
        assert refused.status_code == 409, refused.text
        assert "nobody took the place of strategy 'alpha'" in refused.json()["detail"]
        check_same(host, host.wait_for("COMPLETED", "FAILED"), base)

        with ThreadPoolExecutor(1) as pool:
            there = pool.submit(host.post, "seek", time="2013-10-07T15:00:00Z")
            host.wait_for("RUNNING")
            again = Player(tmp_path / "buys.py", host.url, "alpha")
            assert there.result().status_code == 200, there.result().text
        host.post("resume")
        check_same(host, host.wait_for("COMPLETED", "FAILED"), base)
        assert again.ended() == "COMPLETED"
