"""The parts of the page that are plain HTML: they stand without the script, and in print."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from app.runs.report.charts import MAX_BARS, MAX_SYMBOLS, MAX_TRADES, charted_symbols
from app.runs.report.markup import (
    element,
    name_cell,
    shown,
    tone,
)
from app.runs.report.summary import Run
from app.runs.report.terms import GROUPS, TERMS, Term

MAX_ROWS = 100
_KEYS = (
    "return", "pnl", "final_equity", "cagr", "sharpe", "max_drawdown", "trades", "win_rate",
    "profit_factor", "costs",
)  # fmt: skip
_TONED = {"return", "pnl", "cagr"}
_TRADE_HEADS = {
    "number": "#", "strategy": "Strategy", "symbol": "Symbol", "side": "Side",
    "quantity": "Quantity", "entry": "Entry", "entry_price": "Price in", "exit": "Exit",
    "exit_price": "Price out", "held": "Held", "pnl": "P&L", "share": "Return", "costs": "Costs",
    "mae": "MAE", "mfe": "MFE",
}  # fmt: skip
_NUMBER = ' class="n"'
_TEXT_HEADS = {"strategy", "symbol", "side", "entry", "exit"}


def headline(run: Run) -> str:
    """One line under the name: when, what, in what state."""
    facts = run.facts
    days = facts.days
    when = f"{days[0].date} to {days[-1].date}" if days else "no trading day"
    what = _few(facts.symbols, "symbols")
    parts = [when, what, _few(facts.strategies, "strategies"), facts.outcome]
    return element("p", " \u00b7 ".join(part for part in parts if part), "soft")


def _few(names: Sequence[str], kind: str) -> str:
    return ", ".join(names) if len(names) <= 5 else f"{len(names):,} {kind}"


def notices(summary: dict[str, Any]) -> str:
    items = "".join(
        element("li", notice["text"], notice["level"], f' data-code="{escape(notice["code"])}"')
        for notice in summary["notices"]
    )
    return f'<ul class="notices" aria-label="Notices">{items}</ul>' if items else ""


def key_numbers(run: Run, summary: dict[str, Any]) -> str:
    cards = "".join(_card(TERMS[name], run, summary) for name in _KEYS)
    return f'<dl class="keys">{cards}</dl>'


def _card(term: Term, run: Run, summary: dict[str, Any]) -> str:
    value = summary["statistics"][term.name]
    why = summary["not_defined"].get(term.name, "")
    text = escape(shown(value, term.kind, run.facts.tz))
    small = element("small", why) if why else ""
    classes = tone(value) if term.name in _TONED else ""
    return f'<div>{element("dt", term.label)}<dd class="{classes}">{text}{small}</dd></div>'


def statistics(run: Run, summary: dict[str, Any]) -> str:
    """A table for each group of numbers."""
    tables = "".join(_group(name, GROUPS[name], run, summary) for name in GROUPS)
    return f'<div class="columns">{tables}</div>'


def _group(name: str, terms: Sequence[Term], run: Run, summary: dict[str, Any]) -> str:
    whys = {summary["not_defined"].get(term.name, "") for term in terms}
    if len(whys) == 1 and "" not in whys:
        return (
            f"<div>{element('h3', name)}{element('p', f'Not defined: {whys.pop()}.', 'soft')}</div>"
        )
    rows = "".join(_statistic(term, run, summary) for term in terms)
    return (
        f'<div><table class="statistics"><caption>{escape(name)}</caption><thead><tr>'
        '<th scope="col">Number</th><th scope="col" class="n">Value</th>'
        f'<th scope="col" class="m">Meaning</th></tr></thead><tbody>{rows}</tbody></table></div>\n'
    )


def _statistic(term: Term, run: Run, summary: dict[str, Any]) -> str:
    why = summary["not_defined"].get(term.name)
    meaning = f"{term.meaning} Not defined: {why}." if why else term.meaning
    value = shown(summary["statistics"][term.name], term.kind, run.facts.tz)
    cells = (name_cell(term.label), element("td", value, "v"), element("td", meaning, "m"))
    return f"<tr>{''.join(cells)}</tr>\n"


def prices(run: Run) -> str:
    """The chooser of a symbol above its chart."""
    symbols = charted_symbols(run)
    if not symbols:
        return element("p", "No symbol was traded, or no prices were given.", "soft")
    options = "".join(element("option", symbol) for symbol in symbols)
    rest = len(run.fills.symbol.names) - len(symbols)
    note = (
        f"The {MAX_SYMBOLS} symbols with the most fills; {rest} more were traded." if rest else ""
    )
    return (
        f'<div class="tools"><label>Symbol <select id="symbol">{options}</select></label>'
        f"{element('span', note, 'soft') if note else ''}</div>"
        '<p class="about" id="price-note"></p>'
        '<div class="chart tall" id="chart-price" role="img" '
        'aria-label="Prices of the chosen symbol with its buys and sales"></div>'
    )


def trades(run: Run) -> str:
    """The frame of the trades table; the script fills it."""
    count = len(run.trades.pnl)
    if not count:
        return element("p", "No trade was closed.", "soft")
    heads = "".join(
        f'<th scope="col" data-key="{key}"{"" if key in _TEXT_HEADS else _NUMBER}>'
        f'<button type="button" class="sort">{escape(name)}</button></th>'
        for key, name in _TRADE_HEADS.items()
    )
    capped = f"The first {MAX_TRADES:,} of {count:,}" if count > MAX_TRADES else f"All {count:,}"
    return (
        f"<p class='about'>{capped}, a row for each closed lot; MAE and MFE are the worst and best "
        "P&amp;L a share. The full list is in trades.csv beside this page.</p>"
        '<div class="tools"><label>Symbol or strategy <input id="filter" type="search"></label>'
        '<button type="button" id="previous">Previous</button>'
        '<button type="button" id="next">Next</button>'
        '<span id="where" class="soft" aria-live="polite"></span></div>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Trades"><table id="trades">'
        f"<thead><tr>{heads}</tr></thead><tbody></tbody></table></div>"
        "<noscript><p>This table needs JavaScript; trades.csv has its rows.</p></noscript>"
    )


def pnl_charts(summary: dict[str, Any]) -> str:
    charts = (
        ("chart-symbol", "Symbol", "", "pnl_by_symbol"),
        ("chart-strategy", "Strategy", "", "pnl_by_strategy"),
        ("chart-hour", "Hour of the day", " low", "pnl_by_hour"),
        ("chart-weekday", "Day of the week", " low", "pnl_by_weekday"),
    )
    grid = "".join(
        f"<div>{element('h3', title + _capped(len(summary[name]), size))}"
        f'<div class="chart{size}" id="{chart}" role="img" aria-label="P&amp;L by {title.lower()}">'
        "</div></div>"
        for chart, title, size, name in charts
    )
    return (
        f'<div class="grid">{grid}</div><h3>Day</h3>'
        '<div class="chart low" id="chart-day" role="img" aria-label="P&amp;L by day"></div>'
    )


def _capped(rows: int, size: str) -> str:
    return (
        f" (the {MAX_BARS // 2} best and worst of {rows:,})" if not size and rows > MAX_BARS else ""
    )
