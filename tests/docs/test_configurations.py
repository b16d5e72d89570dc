"""Every configuration of a run that a page shows is one."""

from __future__ import annotations

import pytest

from app.trading.config import parse_backtest_config
from tests.docs.pages import PAGES, Block, blocks

SHOWN = [
    block
    for page in PAGES
    for block in blocks(page)
    if block.kind == "yaml" and "backtest:" in block.text
]


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: block.place)
def test_it_can_be_read(block: Block) -> None:
    assert parse_backtest_config(block.text, block.place).strategies


def test_there_are_some() -> None:
    assert SHOWN
