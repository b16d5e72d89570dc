"""Numbers and tables as HTML, all text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

from app.runs.report.local_time import local_text
from app.times import parse_time_ns

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400


def shown(value: Any, kind: str, zone: ZoneInfo) -> str:
    """A number as people read it, a dash for one that is not defined."""
    if value is None:
        return "\u2014"
    if kind == "time":
        return local_text(parse_time_ns(value), zone)
    if kind == "seconds":
        return _duration(value)
    return _without_minus_zero(_number(value, kind)).replace("-", "\u2212")


def _without_minus_zero(text: str) -> str:
    return text if any(digit in text for digit in "123456789") else text.removeprefix("-")


def _number(value: float, kind: str) -> str:
    if kind == "money":
        return f"{value:,.2f}"
    if kind == "price":
        return f"{value:,.2f}" if round(value, 2) == value else f"{value:,.6g}"
    if kind == "share":
        return f"{100 * value:,.2f} %"
    if kind == "bps":
        return f"{value:,.1f} bp"
    if kind == "ratio":
        return f"{value:,.2f}" if abs(value) >= 0.1 or not value else f"{value:.2g}"
    return f"{value:,.8g}" if isinstance(value, float) else f"{value:,}"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < _MINUTE_S:
        return f"{seconds:.3g} s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S} min"
    return f"{whole // _DAY_S} d {whole % _DAY_S // _HOUR_S} h"


def tone(value: Any) -> str:
    """The class of a gain or a loss."""
    if not value:
        return ""
    return "gain" if value > 0 else "loss"


def element(tag: str, text: str, classes: str = "", more: str = "") -> str:
    """One element with escaped text."""
    named = f' class="{classes}"' if classes else ""
    return f"<{tag}{named}{more}>{escape(text)}</{tag}>"


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of ready cells (``td`` elements); heads after the first that end in a space are
    those of numbers."""
    head = "".join(
        element("th", name.strip(), "n" if name.endswith(" ") else "", ' scope="col"')
        for name in heads
    )
    body = "".join(f"<tr>{''.join(row)}</tr>\n" for row in rows)
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>"
    )


def name_cell(text: str) -> str:
    return element("th", text, "", ' scope="row"')


def number_cell(text: str, classes: str = "") -> str:
    return element("td", text, f"n {classes}".strip())


def text_cell(text: str) -> str:
    return element("td", text)


def fact_list(rows: Iterable[tuple[str, str]]) -> str:
    pairs = "".join(element("dt", name) + element("dd", text) for name, text in rows)
    return f'<dl class="facts">{pairs}</dl>'
