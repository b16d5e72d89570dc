// What a chart shows: loaded once, carried on by the stream, and read again where that left a hole.

import { get, ServerError, type Schema } from "../api/http";
import type { CandleChart, TickPoint } from "../lib/candles";
import { Calm } from "../lib/calm";
import { isoOf, MINUTE_MS, msOf } from "../lib/time";
import { log } from "./log";
import { barKey, batches, type Bar, type Batch } from "./market";
import { changes } from "./session";

export const TICKS = "ticks";
const LOADED = 2000;
const MOST = 4000; // points of a chart: then the older half of them goes
const MANY = 50; // bars that are drawn at once rather than one by one
const SHOWN = 160;
const REFILL_MS = 300;

type Drawn = (bars: Bar[]) => void;

/** Keep a chart at what a symbol's interval has, until the answer is called; `drawn` is told of
 * the bars after each change. */
export function feed(chart: CandleChart, symbol: string, interval: string, drawn: Drawn): () => void {
  return interval === TICKS ? feedTicks(chart, symbol, drawn) : feedBars(chart, symbol, interval, drawn);
}

function missing(what: string, error: unknown): void {
  const expected = error instanceof ServerError && [0, 404, 409, 422].includes(error.status);
  if (!expected) log("error", `${what} cannot be read: ${String(error)}`);
}

const toBar = (bar: Schema<"Bar">): Bar => ({
  ms: msOf(bar.ts), open: bar.open, high: bar.high, low: bar.low, close: bar.close, volume: bar.volume,
});

function feedBars(chart: CandleChart, symbol: string, interval: string, drawn: Drawn): () => void {
  const daily = interval === "1d";
  const step = daily ? Infinity : Number.parseInt(interval, 10) * MINUTE_MS;
  const key = barKey(symbol, interval);
  let bars: Bar[] = [];
  let generation = 0;

  const read = async (since?: number): Promise<Bar[]> => {
    const query = { interval, limit: LOADED, since: since === undefined ? undefined : isoOf(since) };
    return (await get("/api/v1/session/data/{symbol}/bars", { path: { symbol }, query })).bars.map(toBar);
  };
  const show = (fit: boolean): void => {
    chart.showBars(bars);
    if (fit) chart.fit(SHOWN);
    drawn(bars);
  };
  const load = async (): Promise<void> => {
    const mine = ++generation;
    try {
      const found = await read();
      if (mine !== generation) return;
      bars = found;
      show(true);
    } catch (error) {
      missing(`${symbol} ${interval}`, error);
    }
  };
  const append = (bar: Bar): void => {
    if (bars.at(-1)?.ms === bar.ms) bars[bars.length - 1] = bar;
    else bars.push(bar);
    if (bars.length <= MOST) chart.updateBar(bar);
    else {
      bars = bars.slice(-MOST / 2);
      chart.showBars(bars);
    }
  };
  const refill = new Calm(async () => {
    const mine = generation;
    const last = bars.at(-1);
    try {
      const found = await read(last?.ms);
      if (mine !== generation) return;
      const fresh = found.filter((bar) => bar.ms > (bars.at(-1)?.ms ?? -Infinity));
      if (fresh.length > MANY) {
        bars = [...bars, ...fresh].slice(-MOST / 2);
        show(false);
      } else {
        fresh.forEach(append);
        drawn(bars);
      }
    } catch (error) {
      missing(`${symbol} ${interval}`, error);
    }
  }, REFILL_MS);
  const take = (batch: Batch): void => {
    const bar = batch.bars.get(key);
    const last = bars.at(-1);
    if (bar === undefined || (last !== undefined && bar.ms < last.ms)) return;
    if (last === undefined || bar.ms > last.ms + step) refill.ask();
    else {
      append(bar);
      drawn(bars);
    }
  };

  void load();
  const stops = [
    batches.on(take),
    changes.on((change) => {
      if (change === "session" || change === "epoch") void load();
      else if (change === "day" && daily) void load();
      else if (change === "state") refill.ask();
    }),
  ];
  return () => {
    generation += 1;
    refill.stop();
    stops.forEach((stop) => stop());
  };
}

type Points = Record<"trade" | "bid" | "ask", TickPoint[]>;

const noPoints = (): Points => ({ trade: [], bid: [], ask: [] });
const LINES = ["trade", "bid", "ask"] as const;
const secondOf = (point: TickPoint): number => Math.floor(point.ms / 1000);

/** The last of each second: what a chart in seconds can show. */
function bySecond(points: TickPoint[]): TickPoint[] {
  const found = new Map<number, TickPoint>();
  for (const point of points) found.set(secondOf(point), point);
  return [...found.values()];
}

/** What was read, and what came later than all of it. */
function joined(found: TickPoint[], newer: TickPoint[]): TickPoint[] {
  const last = found.at(-1)?.ms ?? -Infinity;
  return bySecond([...found, ...newer.filter((point) => point.ms > last)]);
}

function feedTicks(chart: CandleChart, symbol: string, drawn: Drawn): () => void {
  let generation = 0;
  let points = noPoints();
  let since: Points | null = null; // what the stream brings while an answer is on its way
  const given = { path: { symbol }, query: { limit: LOADED } };
  const trades = async (): Promise<TickPoint[]> =>
    (await get("/api/v1/session/data/{symbol}/trades", given)).trades.map((t) => ({ ms: msOf(t.ts), value: t.price }));
  const quotes = async (): Promise<Schema<"Quote">[]> =>
    (await get("/api/v1/session/data/{symbol}/quotes", given)).quotes;
  const orNone = async <T,>(asked: Promise<T[]>): Promise<T[]> => {
    try {
      return await asked;
    } catch (error) {
      missing(`${symbol} ${TICKS}`, error); // a symbol may have trades and no quotes
      return [];
    }
  };
  const load = async (): Promise<void> => {
    const mine = ++generation;
    const newer = (since = noPoints());
    const [sold, quoted] = await Promise.all([orNone(trades()), orNone(quotes())]);
    if (mine !== generation) return;
    const side = (name: "bid" | "ask"): TickPoint[] =>
      quoted.flatMap((quote) => (quote[name] === null ? [] : [{ ms: msOf(quote.ts), value: quote[name] }]));
    points = {
      trade: joined(sold, newer.trade), bid: joined(side("bid"), newer.bid), ask: joined(side("ask"), newer.ask),
    };
    since = null;
    chart.showTicks(points);
    chart.fit(SHOWN * 2);
    drawn([]);
  };
  const update = (name: keyof Points, ms: number, value: number | null): void => {
    if (value === null) return;
    since?.[name].push({ ms, value });
    const line = points[name];
    const last = line.at(-1);
    if (last !== undefined && ms < last.ms) return;
    const point = { ms, value };
    if (last !== undefined && secondOf(last) === secondOf(point)) line[line.length - 1] = point;
    else line.push(point);
    if (line.length <= MOST) chart.updateTick(name, point);
    else {
      const since = line[MOST / 2]!.ms; // of the line that is longest; the others are cut at the same time
      for (const one of LINES) points[one] = points[one].filter((kept) => kept.ms >= since);
      chart.showTicks(points);
    }
  };
  const take = (batch: Batch): void => {
    const trade = batch.trades.get(symbol);
    const quote = batch.quotes.get(symbol);
    if (trade) update("trade", trade.ms, trade.price);
    if (quote) {
      update("bid", quote.ms, quote.bid);
      update("ask", quote.ms, quote.ask);
    }
  };

  void load();
  const stops = [
    batches.on(take),
    changes.on((change) => {
      if (change !== "speed") void load();
    }),
  ];
  return () => {
    generation += 1;
    stops.forEach((stop) => stop());
  };
}
