// The account over time, and profit and loss by day.

import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { effect } from "@preact/signals";
import { CurveChart, curveOf, type Curve } from "../lib/curves";
import { arrow, number, percent, signed, tone } from "../lib/format";
import { dark } from "../lib/theme";
import { dateText } from "../lib/time";
import { desk, equity } from "../state/follow";
import { trades, zone } from "../state/session";
import { Account } from "./Desk";

export function CurveView({ curves, label }: { curves: () => Curve[]; label: string }): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const latest = useRef(curves);
  latest.current = curves;
  useEffect(() => {
    const chart = new CurveChart(place.current!);
    const stops = [
      effect(() => chart.show(latest.current(), zone.value)),
      effect(() => {
        void dark.value;
        chart.dress(zone.value);
      }),
    ];
    return () => {
      stops.forEach((stop) => stop());
      chart.destroy();
    };
  }, []);
  return <div ref={place} class="curve" role="img" aria-label={label} />;
}

export function Equity(): JSX.Element {
  const account = desk.value?.account;
  if (!trades.value) return <p class="empty">This session only replays; it has no account.</p>;
  if (account === undefined) return <p class="empty">No account yet.</p>;
  const initial = account.initial_cash;
  const curve = curveOf("equity", equity.value, initial);
  const deepest = Math.min(0, ...curve.points.map((point) => point.fall));
  return (
    <>
      <Account />
      <p class="panel-tools">
        Return {percent(account.equity / initial - 1)}, deepest drawdown {percent(deepest)}, {curve.points.length} points
      </p>
      <CurveView label="Equity, and below it the drawdown in per cent" curves={() => [curveOf("equity", equity.value, initial)]} />
    </>
  );
}

type DayResult = { day: string; pnl: number };

/** Change of equity on each day that has a point. */
export function byDay(points: { ms: number; equity: number }[], initial: number, where: string): DayResult[] {
  const last = new Map<string, number>();
  for (const point of points) last.set(dateText(point.ms, where), point.equity);
  let before = initial;
  return [...last].map(([day, value]) => {
    const pnl = value - before;
    before = value;
    return { day, pnl };
  });
}

const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

export function PnlCalendar(): JSX.Element {
  const account = desk.value?.account;
  if (!trades.value) return <p class="empty">This session only replays; it makes no profit and no loss.</p>;
  if (account === undefined) return <p class="empty">No account yet.</p>;
  return <Calendar results={byDay(equity.value, account.initial_cash, zone.value)} />;
}

export function Calendar({ results }: { results: DayResult[] }): JSX.Element {
  if (results.length === 0) return <p class="empty">No day yet.</p>;
  const months = Map.groupBy(results, (one) => one.day.slice(0, 7));
  const most = Math.max(...results.map((one) => Math.abs(one.pnl)), 1e-9);
  return (
    <div class="calendar scroll" role="region" aria-label="Profit and loss by day" tabIndex={0}>
      {[...months].map(([month, list]) => <Month key={month} month={month} results={list} most={most} />)}
    </div>
  );
}

function Month(props: { month: string; results: DayResult[]; most: number }): JSX.Element {
  const { month, results, most } = props;
  const known = new Map(results.map((one) => [one.day, one.pnl]));
  const [year, number_] = month.split("-").map(Number) as [number, number];
  const count = new Date(Date.UTC(year, number_, 0)).getUTCDate();
  const before = (new Date(Date.UTC(year, number_ - 1, 1)).getUTCDay() + 6) % 7;
  const cells: (number | null)[] = [...Array<null>(before).fill(null), ...Array.from({ length: count }, (_, n) => n + 1)];
  while (cells.length % 7) cells.push(null);
  const weeks = Array.from({ length: cells.length / 7 }, (_, n) => cells.slice(7 * n, 7 * n + 7));
  const total = results.reduce((sum, one) => sum + one.pnl, 0);
  return (
    <table class="month">
      <caption>{month}: <span class={tone(total)}>{arrow(total)} {signed(total)}</span></caption>
      <thead><tr>{WEEKDAYS.map((name) => <th scope="col">{name}</th>)}</tr></thead>
      <tbody>
        {weeks.map((week) => (
          <tr>
            {week.map((day) => {
              const pnl = day === null ? undefined : known.get(`${month}-${String(day).padStart(2, "0")}`);
              const strength = pnl === undefined ? 0 : Math.round(4 * Math.abs(pnl) / most);
              return (
                <td class={pnl === undefined ? "" : `pnl ${tone(pnl)} strength-${strength}`}>
                  {day !== null && <span class="day-number">{day}</span>}
                  {pnl !== undefined && <span class="day-pnl">{arrow(pnl)} {number(pnl)}</span>}
                </td>
              );
            })}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
