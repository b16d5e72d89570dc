"""Every statistic of a report: its name in files, its name for people, and what it means.

``kind`` says how it is shown: money, price, share (a fraction), ratio, count, bps, time, seconds.
"""

from __future__ import annotations

from typing import NamedTuple


class Term(NamedTuple):
    """One statistic."""

    name: str
    label: str
    kind: str
    meaning: str


GROUPS: dict[str, tuple[Term, ...]] = {
    "Return": (
        Term("initial_equity", "Initial equity", "money", "The cash at the start."),
        Term("final_equity", "Final equity", "money", "Cash and positions at the end."),
        Term("pnl", "P&L", "money", "Final less initial equity, after all costs."),
        Term("return", "Return", "share", "P&L by initial equity."),
        Term("days", "Trading days", "count", "Days whose regular close was reached."),
        Term("sessions_a_year", "Sessions a year", "ratio", "With which ratios are annualised."),
        Term("cagr", "CAGR", "share", "Growth a year that gives this return; from 60 days on."),
        Term("volatility", "Volatility", "share", "Sample deviation of daily returns, a year."),
        Term("sharpe", "Sharpe ratio", "ratio", "Mean daily return by its deviation, a year."),
        Term("sortino", "Sortino ratio", "ratio", "The same by the deviation of losses only."),
        Term("calmar", "Calmar ratio", "ratio", "CAGR by the deepest drawdown."),
        Term("best_day", "Best day", "share", "From close to close."),
        Term("worst_day", "Worst day", "share", "From close to close."),
    ),
    "Drawdown": (
        Term("max_drawdown", "Deepest drawdown", "share", "Largest fall below a peak, at any T."),
        Term("max_drawdown_amount", "In money", "money", "The same, in currency."),
        Term("max_drawdown_start", "Began", "time", "First mark below the peak."),
        Term("max_drawdown_trough", "Deepest at", "time", "The lowest mark."),
        Term("max_drawdown_end", "Regained", "time", "First mark at the peak again."),
        Term("max_drawdown_length_s", "Its length", "seconds", "Until regained, or the end."),
        Term("longest_drawdown_s", "Longest drawdown", "seconds", "Of all, nights included."),
    ),
    "Exposure": (
        Term("exposure_time", "Time in the market", "share", "Regular hours with a position."),
        Term("exposure_gross", "Mean gross exposure", "share", "Positions by equity, over time."),
        Term("exposure_net", "Mean net exposure", "share", "Long less short, by equity."),
        Term("exposure_gross_max", "Highest gross exposure", "share", "At any T."),
        Term("traded_value", "Traded value", "money", "All fills, quantity times price."),
        Term("turnover", "Turnover", "ratio", "Half the traded value by mean equity."),
        Term("turnover_annual", "Turnover a year", "ratio", "At this pace; from 20 days on."),
    ),
    "Trades": (
        Term("trades", "Trades", "count", "Closed lots, first in first out."),
        Term("winning_trades", "Won", "count", "P&L above zero after costs."),
        Term("losing_trades", "Lost", "count", "P&L below zero after costs."),
        Term("long_trades", "Long", "count", "Bought first."),
        Term("short_trades", "Short", "count", "Sold first."),
        Term("win_rate", "Win rate", "share", "Won trades of all."),
        Term("payoff", "Payoff", "ratio", "Average win by average loss."),
        Term("profit_factor", "Profit factor", "ratio", "All wins by all losses."),
        Term("expectancy", "Expectancy", "money", "Average P&L of a trade."),
        Term("average_win", "Average win", "money", "Of won trades."),
        Term("average_loss", "Average loss", "money", "Of lost trades."),
        Term("largest_win", "Largest win", "money", "Of one trade."),
        Term("largest_loss", "Largest loss", "money", "Of one trade."),
        Term("longest_win_streak", "Longest winning streak", "count", "Wins in a row, by exit."),
        Term("longest_loss_streak", "Longest losing streak", "count", "Losses in a row, by exit."),
    ),
    "Holding time and excursions": (
        Term("holding_mean_s", "Mean holding time", "seconds", "Entry to exit, nights included."),
        Term("holding_median_s", "Median holding time", "seconds", "Half are shorter."),
        Term("holding_max_s", "Longest holding time", "seconds", "Of one trade."),
        Term("mae_mean", "Mean MAE", "share", "Worst P&L while open, by entry price."),
        Term("mae_worst", "Worst MAE", "share", "Of one trade."),
        Term("mfe_mean", "Mean MFE", "share", "Best P&L while open, by entry price."),
        Term("mfe_best", "Best MFE", "share", "Of one trade."),
    ),
    "Costs and cash": (
        Term("commission", "Commission", "money", "Of all fills."),
        Term("fees", "Fees", "money", "Regulatory fees of all fills."),
        Term("slippage", "Slippage", "money", "What the model added to prices; inside them."),
        Term("costs", "Costs", "money", "Commission, fees and slippage."),
        Term("costs_bps", "Costs in bp", "bps", "Of the traded value."),
        Term("arrival_slippage", "Against arrival", "money", "Fills against the price on arrival."),
        Term("arrival_slippage_bps", "Against arrival in bp", "bps", "Of the value on arrival."),
        Term("dividends", "Dividends", "money", "Received, less paid on short positions."),
        Term("financing", "Interest and borrow", "money", "Received less paid."),
    ),
    "Orders and fills": (
        Term("orders", "Orders", "count", "That were sent."),
        Term("orders_filled", "Filled", "count", "In full."),
        Term("orders_cancelled", "Cancelled", "count", "With or without a partial fill."),
        Term("orders_expired", "Expired", "count", "At the close, or as IOC and FOK."),
        Term("orders_rejected", "Rejected", "count", "By risk or execution."),
        Term("orders_fill_rate", "Fill rate", "share", "Filled orders of all that ended."),
        Term("refusals", "Refusals", "count", "Orders, changes and signals that were refused."),
        Term("fills", "Fills", "count", "Executions."),
        Term("fills_partial", "Partial fills", "count", "That left a rest of the order."),
        Term("fills_ambiguous", "Ambiguous fills", "count", "The bar hides what came first."),
        Term("fills_optimistic", "Optimistic fills", "count", "At a price known before the order."),
    ),
    "Benchmark": (
        Term("benchmark_days", "Days compared", "count", "Days with both returns."),
        Term("benchmark_return", "Benchmark return", "share", "On these days."),
        Term("benchmark_max_drawdown", "Benchmark drawdown", "share", "Deepest, at closes."),
        Term("benchmark_excess_return", "Excess return", "share", "Return less the benchmark's."),
        Term("benchmark_volatility", "Benchmark volatility", "share", "As above."),
        Term("beta", "Beta", "ratio", "Slope of our daily returns on the benchmark's."),
        Term("alpha", "Alpha", "share", "The intercept, a year."),
        Term("correlation", "Correlation", "ratio", "Of daily returns."),
        Term("tracking_error", "Tracking error", "share", "Deviation of the difference, a year."),
        Term("information_ratio", "Information ratio", "ratio", "Mean difference by deviation."),
    ),
}  # fmt: skip
TERMS: dict[str, Term] = {term.name: term for terms in GROUPS.values() for term in terms}
