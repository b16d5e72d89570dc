"""How things look in a notebook: small tables of HTML, all text escaped, no style of a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

_LEFT = ' style="text-align:left"'
_RIGHT = ' style="text-align:right"'


def fields_html(title: str, fields: Iterable[tuple[str, Any]]) -> str:
    """A row a field; those that are None are left out."""
    rows = "".join(
        f"<tr><th{_LEFT}>{escape(name)}</th><td{_LEFT}>{escape(_text(value))}</td></tr>"
        for name, value in fields
        if value is not None
    )
    return f"<strong>{escape(title)}</strong><table>{rows}</table>"


def rows_html(title: str, headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; numbers are set to the right."""
    head = "".join(f"<th{_LEFT}>{escape(header)}</th>" for header in headers)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return (
        f"<strong>{escape(title)}</strong>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _cell(value: Any) -> str:
    side = _RIGHT if isinstance(value, int | float) else _LEFT
    return f"<td{side}>{escape(_text(value))}</td>"


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.10g}"
