// What each finished day of a session made, from its fills and the days' closes.

import type { Schema } from "../api/http";
import { msOf } from "./time";

export type Point = { ms: number; equity: number };
export type DayResult = Schema<"DayResult">;

/** Equity at the close of each day before `today`, and how it changed from close to close.
 *
 * A run's own curve is written when it ends; until then this is as near as its interest and its
 * splits are small. */
export function dayCloses(
  days: Schema<"DayRecord">[],
  fills: Schema<"Fill">[],
  initial: number,
  today: string,
): { points: Point[]; results: DayResult[] } {
  const held = new Map<string, number>();
  const marks = new Map<string, number>();
  const points: Point[] = days[0] === undefined ? [] : [{ ms: msOf(days[0].open), equity: initial }];
  const results: DayResult[] = [];
  let [cash, before, at] = [initial, initial, 0];
  const finished = days.filter((day) => day.day < today);
  finished.forEach((day, n) => {
    const until = n + 1 < days.length ? msOf(days[n + 1]!.open) : Infinity;
    for (; at < fills.length && msOf(fills[at]!.time) < until; at += 1) {
      const fill = fills[at]!;
      const signed = fill.side === "buy" ? fill.quantity : -fill.quantity;
      cash -= signed * fill.price + fill.commission + fill.fees;
      held.set(fill.symbol, (held.get(fill.symbol) ?? 0) + signed);
      marks.set(fill.symbol, fill.price);
    }
    let equity = cash;
    for (const [symbol, quantity] of held) {
      const record = day.symbols[symbol];
      const mark = record?.official_close ?? record?.close ?? marks.get(symbol) ?? 0;
      marks.set(symbol, mark);
      equity += quantity * mark;
    }
    points.push({ ms: msOf(day.close), equity });
    results.push({ day: day.day, pnl: equity - before });
    before = equity;
  });
  return { points, results };
}
