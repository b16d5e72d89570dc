// Prices as they come over the stream, passed on once a frame of the screen.

import { batch as together, signal, type Signal } from "@preact/signals";
import { columnsOf, type Columns, type SlicesFrame } from "../api/frames";
import { News } from "../lib/calm";
import { msOf } from "../lib/time";
import { anchor, changes, moveClock, session } from "./session";

export type Bar = { ms: number; open: number; high: number; low: number; close: number; volume: number };
export type Tick = { ms: number; price: number; size: number };
export type Quote = { ms: number; bid: number | null; ask: number | null; bidSize: number | null; askSize: number | null };
export type Mark = { last: number | null; trade: Tick | null; quote: Quote | null };

/** What has come since the last frame of the screen: the newest by symbol, or symbol and interval. */
export type Batch = { bars: Map<string, Bar>; trades: Map<string, Tick>; quotes: Map<string, Quote> };

const NO_MARK: Mark = { last: null, trade: null, quote: null };
const marks = new Map<string, Signal<Mark>>();
let pending: Batch = emptyBatch();
let time: string | null = null;
let scheduled = false;

export const batches = new News<Batch>();
export const barKey = (symbol: string, interval: string): string => `${symbol} ${interval}`;

export function markOf(symbol: string): Signal<Mark> {
  let found = marks.get(symbol);
  if (found === undefined) {
    found = signal(NO_MARK);
    marks.set(symbol, found);
  }
  return found;
}

function emptyBatch(): Batch {
  return { bars: new Map(), trades: new Map(), quotes: new Map() };
}

changes.on((change) => {
  if (change !== "session" && change !== "epoch") return;
  pending = emptyBatch();
  time = null;
  for (const mark of marks.values()) mark.value = NO_MARK;
});

export function takeSlices(frame: SlicesFrame): void {
  if (frame.epoch !== session.value?.epoch) return;
  time = frame.times.at(-1) ?? time;
  for (const channel of Object.keys(frame)) {
    const columns = columnsOf(frame, channel);
    if (columns === null) continue;
    if (channel.startsWith("bars_")) takeBars(columns, channel.slice("bars_".length));
    else if (channel === "trades") takeTrades(columns);
    else if (channel === "quotes") takeQuotes(columns);
  }
  if (!scheduled) {
    scheduled = true;
    requestAnimationFrame(flush); // a hidden page is not drawn: then the newest wait here
  }
}

function takeBars(columns: Columns, interval: string): void {
  const { symbol, ts } = columns;
  const [open, high, low, close, volume] = ["open", "high", "low", "close", "volume"].map(
    (name) => columns[name] as number[],
  ) as [number[], number[], number[], number[], number[]];
  symbol.forEach((name, n) => {
    pending.bars.set(barKey(name, interval), {
      ms: msOf(ts[n]!), open: open[n]!, high: high[n]!, low: low[n]!, close: close[n]!, volume: volume[n]!,
    });
  });
}

function takeTrades(columns: Columns): void {
  const [prices, sizes, eligible] = [columns.price, columns.size, columns.eligible] as [number[], number[], boolean[]];
  columns.symbol.forEach((name, n) => {
    if (!eligible[n]) return; // it may not set the last price
    pending.trades.set(name, { ms: msOf(columns.ts[n]!), price: prices[n]!, size: sizes[n]! });
  });
}

function takeQuotes(columns: Columns): void {
  const [bid, ask, bidSize, askSize] = ["bid", "ask", "bid_size", "ask_size"].map(
    (name) => columns[name] as (number | null)[],
  ) as [(number | null)[], (number | null)[], (number | null)[], (number | null)[]];
  columns.symbol.forEach((name, n) => {
    pending.quotes.set(name, {
      ms: msOf(columns.ts[n]!), bid: bid[n]!, ask: ask[n]!, bidSize: bidSize[n]!, askSize: askSize[n]!,
    });
  });
}

function flush(): void {
  scheduled = false;
  const batch = pending;
  pending = emptyBatch();
  together(() => mark(batch));
  batches.tell(batch);
}

/** Who shows a symbol is told once of all that is new of it. */
function mark(batch: Batch): void {
  // A status may have come since, which says that the clock stands further on.
  if (time !== null && msOf(time) >= (anchor.value?.ms ?? 0)) moveClock(time);
  for (const [symbol, quote] of batch.quotes) {
    const mark = markOf(symbol);
    mark.value = { ...mark.value, quote };
  }
  for (const [symbol, trade] of batch.trades) {
    const mark = markOf(symbol);
    mark.value = { ...mark.value, trade, last: trade.price };
  }
  for (const [key, bar] of batch.bars) {
    if (!key.endsWith(" 1m")) continue;
    const mark = markOf(key.slice(0, -3));
    const older = mark.value.trade === null || mark.value.trade.ms < bar.ms + 60_000;
    if (older) mark.value = { ...mark.value, last: bar.close };
  }
}
