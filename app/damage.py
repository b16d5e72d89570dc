"""What damaged files of Arrow and Parquet make pyarrow raise."""

from __future__ import annotations

import pyarrow as pa

# Wherever the damage lies: names that are no UTF-8, columns that are not there, dates after 9999.
UNREADABLE = (
    pa.ArrowException, OSError, UnicodeDecodeError, KeyError, IndexError, OverflowError,
)  # fmt: skip
