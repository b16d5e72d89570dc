"""What a session reads of its catalog."""

from __future__ import annotations

from concurrent.futures import Executor

from app.catalog.store import Catalog
from app.feed.sources import ParquetCandleSource
from app.managers.system_manager.config import ResolvedConfig, SessionDefaults
from app.model import Dictionary, StreamType

# Rows of all streams together that are read ahead of the merge, where row groups are larger.
_HELD_ROWS = 3_000_000
_LEAST_PART_ROWS = 1024
_FIRST_ROWS = 65_536  # of all streams, that are worked off before more of any
_LEAST_FIRST_ROWS = 64


def open_sources(
    config: ResolvedConfig, defaults: SessionDefaults, catalog: Catalog, words: Dictionary,
    pool: Executor,
) -> list[ParquetCandleSource]:  # fmt: skip
    """One for each stream of the session, in their order; nothing is read yet."""
    per_stream = defaults.buffer_rows // (2 * len(config.streams))
    rows = defaults.read_rows
    read_rows = max(1, min(rows, per_stream))
    part_rows = max(_LEAST_PART_ROWS, _HELD_ROWS // len(config.streams))
    first_rows = max(_LEAST_FIRST_ROWS, _FIRST_ROWS // len(config.streams))
    return [
        ParquetCandleSource(
            catalog, stream, config.from_ns(stream), config.reads_until_ns(stream),
            rows=min(rows, part_rows), read_rows=read_rows, part_rows=part_rows,
            first_rows=first_rows, words=words, pool=pool,
        )
        for stream in config.streams
    ]  # fmt: skip


def symbols_with_bars(config: ResolvedConfig) -> tuple[bool, ...]:
    """By symbol, whether it has bars: its own, or such as are made of trades."""
    having = {s.symbol for s in config.streams if s.type is not StreamType.QUOTE}
    return tuple(name in having for name in config.symbols)
