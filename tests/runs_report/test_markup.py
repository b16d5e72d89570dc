"""Numbers as people read them."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.runs.report.markup import shown

ZONE = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (None, "money", "\u2014"),
        (1234567.891, "money", "1,234,567.89"),
        (-0.001, "money", "0.00"),
        (-12.5, "money", "\u221212.50"),
        (0.12345, "share", "12.35 %"),
        (-0.00001, "share", "0.00 %"),
        (1.2345, "ratio", "1.23"),
        (0.01234, "ratio", "0.012"),
        (0.0, "ratio", "0.00"),
        (12.34, "bps", "12.3 bp"),
        (1234, "count", "1,234"),
        (2.5, "quantity", "2.5"),
        (100.5, "price", "100.50"),
        (1.23456, "price", "1.23456"),
        (12.5, "seconds", "12.5 s"),
        (150, "seconds", "2 min"),
        (7500, "seconds", "2 h 5 min"),
        (180_000, "seconds", "2 d 2 h"),
        ("2024-07-01T13:31:00Z", "time", "2024-07-01 09:31"),
        ("2024-01-02T14:31:05Z", "time", "2024-01-02 09:31:05"),
    ],
)
def test_shown(value: Any, kind: str, text: str) -> None:
    assert shown(value, kind, ZONE) == text
