// How the numbers of a run are written, as app/runs/report/terms.py has their kinds.

import { NONE, number, percent } from "./format";
import { duration } from "./time";

/** Fractions of one, better read in per cent. */
const SHARES = new Set([
  "return", "cagr", "volatility", "best_day", "worst_day", "max_drawdown", "exposure_time", "exposure_gross",
  "exposure_net", "exposure_gross_max", "win_rate", "mae_mean", "mae_worst", "mfe_mean", "mfe_best", "orders_fill_rate",
  "benchmark_return", "benchmark_max_drawdown", "benchmark_excess_return", "benchmark_volatility", "alpha",
  "tracking_error",
]);
const MONEY = new Set([
  "initial_equity", "final_equity", "pnl", "max_drawdown_amount", "traded_value", "expectancy", "average_win",
  "average_loss", "largest_win", "largest_loss", "commission", "fees", "slippage", "costs", "arrival_slippage",
  "dividends", "financing",
]);

export function statisticText(name: string, value: unknown): string {
  if (typeof value !== "number") return typeof value === "string" || typeof value === "boolean" ? String(value) : NONE;
  if (SHARES.has(name)) return percent(value);
  if (MONEY.has(name)) return number(value);
  if (name.endsWith("_s")) return duration(value);
  return number(value, Number.isInteger(value) ? 0 : Math.abs(value) >= 100 ? 2 : 4);
}
