"""Where things lie in a catalog: names of datasets, folders and files."""

from __future__ import annotations

from datetime import date
from urllib.parse import quote, unquote

STREAM_DATASETS = ("bars_1m", "trades", "quotes")
SIDE_DATASETS = ("daily", "corporate_actions", "halts")
_SIDE_FILES = {
    "daily": "daily.parquet",
    "corporate_actions": "actions.parquet",
    "halts": "halts.parquet",
}
_SAFE = "._-^=+"


def encode_symbol(symbol: str) -> str:
    """A symbol as it stands in a folder's name (``BRK/B`` is ``BRK%2FB``)."""
    encoded = quote(symbol, safe=_SAFE)
    return encoded.replace(".", "%2E") if set(encoded) == {"."} else encoded


def decode_symbol(folder: str) -> str:
    """The symbol that a folder's name stands for."""
    return unquote(folder)


def day_path(dataset: str, symbol: str, day: date) -> str:
    """Path of one symbol and trading date, relative to the root."""
    return f"{dataset}/symbol={encode_symbol(symbol)}/date={day.isoformat()}.parquet"


def side_path(dataset: str, symbol: str) -> str:
    """Path of a symbol's one file of a side dataset, relative to the root."""
    return f"{dataset}/symbol={encode_symbol(symbol)}/{_SIDE_FILES[dataset]}"


def parse_path(relative: str) -> tuple[str, str | None, date | None]:
    """Dataset, symbol and trading date that a relative path names, as far as it does."""
    dataset, *rest = relative.split("/")
    symbol: str | None = None
    day: date | None = None
    for piece in rest:
        text = piece.removesuffix(".parquet")
        key, _, value = text.partition("=")
        if key == "symbol" and value:
            symbol = decode_symbol(value)
        elif key == "date":
            try:
                day = date.fromisoformat(value)
            except ValueError:
                day = None
    return dataset, symbol, day
