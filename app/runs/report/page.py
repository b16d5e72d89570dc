"""``report.html``: one file that needs nothing else and loads nothing.

Equal input makes equal bytes: no times of making, no random ids.
"""

from __future__ import annotations

import importlib
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import orjson

from app.runs.report import listings, sections
from app.runs.report.charts import chart_data
from app.runs.report.markup import element
from app.runs.report.summary import Run

_HERE = Path(__file__).parent
_SCRIPTS = ("format", "axes", "charts", "trades")
_MONTHS_ABOUT = "Return of each calendar month in per cent, from close to close."
_ACCOUNT_ABOUT = "Equity at every T at which it changed, and how far it was below its peak."
_PNL_ABOUT = (
    "Each chart adds up to the P&L. An hour is the one in which a change came about; what a night "
    "brought is seen with the first mark after it."
)


def page(run: Run, summary: dict[str, Any], config: dict[str, Any]) -> str:
    """The whole page."""
    parts = _parts(run, summary, config)
    body = "\n".join(_section(name, title, html) for name, title, html in parts)
    links = " ".join(f'<a href="#{name}">{escape(title)}</a>' for name, title, _ in parts)
    return Template((_HERE / "page.html").read_text("utf-8")).substitute(
        title=escape(f"{run.facts.name}: report"),
        name=escape(run.facts.name),
        style=(_HERE / "page.css").read_text("utf-8"),
        headline=sections.headline(run),
        links=links,
        body=f"{sections.notices(summary)}\n{sections.key_numbers(run, summary)}\n{body}",
        footer=_footer(run),
        data=_json(chart_data(run, summary)),
        plotly=plotly_script(),
        script=_script(),
    )


def _script() -> str:
    """Our own script: the files as one function, so that no name meets one of Plotly's."""
    return "\n".join((_HERE / f"{name}.js").read_text("utf-8") for name in _SCRIPTS)


def plotly_script() -> str:
    """Plotly's JavaScript as the library ships it."""
    # It has no types, and its import costs what only a report should pay.
    text: str = importlib.import_module("plotly.offline").get_plotlyjs()
    return text


def _parts(run: Run, summary: dict[str, Any], config: dict[str, Any]) -> list[tuple[str, str, str]]:
    account = _chart("chart-account", "tall", "Equity and drawdown over time")
    months = _chart("chart-months", "", "Heatmap of monthly returns")
    orders = (listings.codes(run, summary), listings.positions(run), listings.rare_events(run))
    return [
        ("equity", "Equity and drawdown", element("p", _ACCOUNT_ABOUT, "about") + account),
        ("months", "Months", element("p", _MONTHS_ABOUT, "about") + months),
        ("prices", "Prices and fills", sections.prices(run)),
        (
            "pnl", "P&L",
            element("p", _PNL_ABOUT, "about") + sections.pnl_charts(summary)
            + listings.pnl_tables(run, summary),
        ),
        ("statistics", "Statistics", sections.statistics(run, summary)),
        ("trades-part", "Trades", sections.trades(run)),
        ("orders", "Refusals, warnings, open positions", "".join(orders)),
        ("run", "The run", listings.provenance(run, config)),
    ]  # fmt: skip


def _section(name: str, title: str, html: str) -> str:
    return (
        f'<section id="{name}" aria-labelledby="{name}-title">'
        f'<h2 id="{name}-title">{escape(title)}</h2>\n{html}\n</section>'
    )


def _chart(name: str, size: str, label: str) -> str:
    return f'<div class="chart {size}" id="{name}" role="img" aria-label="{escape(label)}"></div>'


def _footer(run: Run) -> str:
    return element(
        "p",
        f"Amounts are in {run.facts.currency}, times in {run.facts.zone}. Every number is defined, "
        "with its source, in Tapedeck's documentation: docs/report.md.",
    )


def _json(data: dict[str, Any]) -> str:
    """JSON that cannot end the element it stands in."""
    return orjson.dumps(data).decode().replace("<", "\\u003c")
