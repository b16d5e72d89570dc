// One chart of the grid, with its symbol, its interval, its orders and its numbers as a table.

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { effect, useComputed, useSignal } from "@preact/signals";
import { CandleChart, type Level, type Marker } from "../lib/candles";
import { arrow, number, price, signed, short, tone, whole } from "../lib/format";
import { dark } from "../lib/theme";
import { stamp } from "../lib/time";
import { data, desk } from "../state/follow";
import { feed, TICKS } from "../state/feeds";
import { markOf, type Bar } from "../state/market";
import { changePane, focused, intervals, panes, removePane, type Pane } from "../state/panes";
import { plan, trades, zone } from "../state/session";
import { canChange, change, isOpen, restsAt, ticket } from "../state/ticket";
import { Button, Table } from "./parts";

const ROWS = 20;

function markersOf(symbol: string): Marker[] {
  const found = desk.value;
  if (found === null) return [];
  const fills = found.fills.filter((fill) => fill.symbol === symbol);
  const orders = found.orders.filter((order) => order.symbol === symbol && order.type !== "market");
  return [
    ...fills.map((fill): Marker => ({
      ms: Date.parse(fill.time), side: fill.side, kind: "fill",
      text: `${fill.side === "buy" ? "B" : "S"} ${whole(fill.quantity)}`,
    })),
    ...orders.map((order): Marker => ({ ms: Date.parse(order.created), side: order.side, kind: "order", text: "" })),
  ].sort((a, b) => a.ms - b.ms);
}

/** Lines at the prices of orders and positions, and at bid and ask where the chart has none. */
function levelsOf(symbol: string, interval: string): Level[] {
  const levels: Level[] = [];
  const quote = interval === TICKS ? null : markOf(symbol).value.quote ?? data.value?.symbols[symbol]?.quote;
  if (quote?.bid != null) levels.push({ id: "bid", price: quote.bid, label: "bid", tone: "muted", drag: false });
  if (quote?.ask != null) levels.push({ id: "ask", price: quote.ask, label: "ask", tone: "muted", drag: false });
  for (const order of desk.value?.orders ?? []) {
    const at = restsAt(order);
    if (order.symbol !== symbol || !isOpen(order) || at === null) continue;
    const label = `${order.side} ${whole(order.quantity - order.filled)} ${order.type}`;
    levels.push({ id: order.id, price: at, label, tone: order.side === "buy" ? "up" : "down", drag: canChange(order) });
  }
  for (const position of desk.value?.positions ?? []) {
    if (position.symbol !== symbol || position.quantity === 0) continue;
    const label = `${position.strategy} ${signed(position.quantity, 0)}`;
    levels.push({ id: `at ${position.strategy}`, price: position.average_price, label, tone: "accent", drag: false });
  }
  return levels;
}

export function ChartPane({ pane }: { pane: Pane }): JSX.Element {
  const { id, symbol, interval } = pane;
  const place = useRef<HTMLDivElement>(null);
  const [asTable, setAsTable] = useState(false);
  const rows = useSignal<Bar[]>([]);

  useEffect(() => {
    const chart = new CandleChart(place.current!);
    const stop = feed(chart, symbol, interval, (bars) => (rows.value = bars.slice(-ROWS)));
    chart.onDrag = (order, at) => {
      const known = desk.value?.orders.find((one) => one.id === order);
      if (known) change(known, at);
    };
    chart.onPick = (at) => {
      if (trades.value) {
        ticket.value = {
          draft: { symbol, side: "buy", type: "limit", limit_price: Number(at.toFixed(2)) }, replaces: null,
        };
      }
    };
    const stops = [
      effect(() => {
        void dark.value;
        chart.dress(zone.value);
      }),
      effect(() => {
        void dark.value;
        chart.showMarkers(markersOf(symbol));
      }),
      effect(() => chart.showLevels(levelsOf(symbol, interval))),
    ];
    return () => {
      stops.forEach((end) => end());
      stop();
      chart.destroy();
    };
  }, [symbol, interval]);

  const others = panes.value.length > 1;
  return (
    <section
      class={`pane ${focused.value === id ? "focused" : ""}`}
      aria-label={`Chart of ${symbol}`}
      onFocusCapture={() => (focused.value = id)}
      onPointerDownCapture={() => (focused.value = id)}
    >
      <header class="pane-head">
        <select
          aria-label="Symbol" value={symbol}
          onChange={(event) => changePane(id, { symbol: event.currentTarget.value })}
        >
          {plan.value?.symbols.map((name) => <option value={name}>{name}</option>)}
        </select>
        <select
          aria-label="Interval" value={interval}
          onChange={(event) => changePane(id, { interval: event.currentTarget.value })}
        >
          {intervals.value.map((name) => <option value={name}>{name}</option>)}
        </select>
        <LastPrice symbol={symbol} />
        {trades.value && (
          <Button label="Order" kind="small" keys="O" onClick={() => (ticket.value = { draft: { symbol }, replaces: null })} />
        )}
        {interval !== TICKS && (
          <Button
            label="Table" kind="small" pressed={asTable} onClick={() => setAsTable(!asTable)}
          />
        )}
        {others && <Button label={`Close the chart of ${symbol}`} icon="close" kind="small" onClick={() => removePane(id)} />}
      </header>
      <div class="pane-body">
        <div ref={place} class="canvas" role="img" aria-label={`${symbol}, ${interval}: candles and volume; the button Table has the numbers`} />
        {asTable && interval !== TICKS && <BarTable rows={rows.value} symbol={symbol} interval={interval} />}
      </div>
    </section>
  );
}

function LastPrice({ symbol }: { symbol: string }): JSX.Element {
  const text = useComputed(() => {
    const summary = data.value?.symbols[symbol];
    const last = markOf(symbol).value.last ?? summary?.last ?? null;
    const before = summary?.prev_close ?? summary?.open ?? null;
    return { last, change: last === null || before === null ? null : last - before };
  });
  const { last, change: moved } = text.value;
  return (
    <span class="last">
      <b>{price(last)}</b>
      <span class={tone(moved)}>{arrow(moved)} {signed(moved)}</span>
    </span>
  );
}

function BarTable({ rows, symbol, interval }: { rows: Bar[]; symbol: string; interval: string }): JSX.Element {
  const at = (bar: Bar): string => stamp(new Date(bar.ms).toISOString(), zone.value);
  return (
    <div class="overlay">
      <Table
        label={`The newest bars of ${symbol}, ${interval}`} rows={rows.toReversed()} id={(bar) => String(bar.ms)}
        empty="No bar yet."
        columns={[
          { head: "Start", cell: at },
          { head: "Open", cell: (bar) => number(bar.open), number: true },
          { head: "High", cell: (bar) => number(bar.high), number: true },
          { head: "Low", cell: (bar) => number(bar.low), number: true },
          { head: "Close", cell: (bar) => number(bar.close), number: true },
          { head: "Volume", cell: (bar) => short(bar.volume), number: true },
        ]}
      />
    </div>
  );
}
