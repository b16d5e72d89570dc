"""Statistics of the trades: lots, or parts of lots, that were closed."""

from __future__ import annotations

import numpy as np

from app.model import Floats
from app.runs.report.files import Trades
from app.runs.report.values import Missing, Statistics, all_missing, divide, tidy, total
from app.times import SECOND_NS

_NO_TRADE = "no trade was closed"
_OF_TRADES = (
    "win_rate", "payoff", "profit_factor", "expectancy", "average_win", "average_loss",
    "largest_win", "largest_loss", "holding_mean_s", "holding_median_s", "holding_max_s",
    "mae_mean", "mae_worst", "mfe_mean", "mfe_best",
)  # fmt: skip


def trade_statistics(trades: Trades) -> Statistics:
    """A win has P&L above zero after its costs, a loss below; one of exactly zero is neither."""
    pnl = trades.pnl
    order = np.argsort(trades.exit_ns, kind="stable")
    counts: Statistics = {
        "trades": len(pnl),
        "winning_trades": int((pnl > 0).sum()),
        "losing_trades": int((pnl < 0).sum()),
        "long_trades": int((trades.side > 0).sum()),
        "short_trades": int((trades.side < 0).sum()),
        "longest_win_streak": longest_run((pnl > 0)[order]),
        "longest_loss_streak": longest_run((pnl < 0)[order]),
    }
    if not len(pnl):
        return counts | all_missing(_OF_TRADES, _NO_TRADE)
    return counts | _results(pnl) | _holding(trades) | _excursions(trades)


def longest_run(hits: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> int:
    """Length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], hits, [False]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _results(pnl: Floats) -> Statistics:
    wins, losses = pnl[pnl > 0], pnl[pnl < 0]
    average_win = divide(total(wins), len(wins), "no trade won")
    average_loss = divide(total(losses), len(losses), "no trade lost")
    size = average_loss if isinstance(average_loss, Missing) else -average_loss
    return {
        "win_rate": len(wins) / len(pnl),
        "payoff": divide(average_win, size, "no trade lost"),
        "profit_factor": divide(total(wins), -total(losses), "no trade lost"),
        "expectancy": total(pnl) / len(pnl),
        "average_win": average_win,
        "average_loss": average_loss,
        "largest_win": tidy(float(wins.max())) if len(wins) else Missing("no trade won"),
        "largest_loss": tidy(float(losses.min())) if len(losses) else Missing("no trade lost"),
    }


def _holding(trades: Trades) -> Statistics:
    held_s = (trades.exit_ns - trades.entry_ns) / SECOND_NS
    return {
        "holding_mean_s": float(held_s.mean()),
        "holding_median_s": float(np.median(held_s)),
        "holding_max_s": float(held_s.max()),
    }


def _excursions(trades: Trades) -> Statistics:
    """Excursions by the entry price; trades that no mark saw are left out."""
    known = ~(np.isnan(trades.mae) | np.isnan(trades.mfe)) & (trades.entry_price > 0)
    if not known.any():
        names = ("mae_mean", "mae_worst", "mfe_mean", "mfe_best")
        return all_missing(names, "no trade has an excursion")
    mae = trades.mae[known] / trades.entry_price[known]
    mfe = trades.mfe[known] / trades.entry_price[known]
    return {
        "mae_mean": float(mae.mean()),
        "mae_worst": float(mae.min()),
        "mfe_mean": float(mfe.mean()),
        "mfe_best": float(mfe.max()),
    }
