// The account over time, and profit and loss by day.

import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { effect } from "@preact/signals";
import { CurveChart, curveOf, type Curve } from "../lib/curves";
import type { DayResult } from "../lib/daily";
import { arrow, countText, number, percent, signed, tone } from "../lib/format";
import { dark } from "../lib/theme";
import { dateText } from "../lib/time";
import { desk, equity, results } from "../state/follow";
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
        Return {percent(account.equity / initial - 1)}, deepest drawdown {percent(deepest)}, {countText(curve.points.length, "point")}
      </p>
      <CurveView label="Equity, and below it the drawdown in per cent" curves={() => [curveOf("equity", equity.value, initial)]} />
    </>
  );
}

/** The days that are finished, and what is left of the whole for the day that goes on. */
function daysNow(left: DayResult[], made: number, today: string): DayResult[] {
  const before = left.filter((one) => one.day < today);
  const rest = made - before.reduce((sum, one) => sum + one.pnl, 0);
  return [...before, { day: today, pnl: rest }];
}

const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

export function PnlCalendar(): JSX.Element {
  const account = desk.value?.account;
  if (!trades.value) return <p class="empty">This session only replays; it makes no profit and no loss.</p>;
  if (account === undefined) return <p class="empty">No account yet.</p>;
  const today = dateText(Date.parse(account.time), zone.value);
  const made = account.equity - account.initial_cash;
  return <Calendar results={daysNow(results.value, made, today)} />;
}

export function Calendar({ results: found }: { results: DayResult[] }): JSX.Element {
  if (found.length === 0) return <p class="empty">No day yet.</p>;
  const months = Map.groupBy(found, (one) => one.day.slice(0, 7));
  const most = Math.max(...found.map((one) => Math.abs(one.pnl)), 1e-9);
  return (
    <div class="calendar scroll" role="region" aria-label="Profit and loss by day" tabIndex={0}>
      {[...months].map(([month, list]) => <Month key={month} month={month} list={list} most={most} />)}
    </div>
  );
}

function Month(props: { month: string; list: DayResult[]; most: number }): JSX.Element {
  const { month, list, most } = props;
  const known = new Map(list.map((one) => [one.day, one.pnl]));
  const [year, number_] = month.split("-").map(Number) as [number, number];
  const count = new Date(Date.UTC(year, number_, 0)).getUTCDate();
  const before = (new Date(Date.UTC(year, number_ - 1, 1)).getUTCDay() + 6) % 7;
  const cells: (number | null)[] = [...Array<null>(before).fill(null), ...Array.from({ length: count }, (_, n) => n + 1)];
  while (cells.length % 7) cells.push(null);
  const weeks = Array.from({ length: cells.length / 7 }, (_, n) => cells.slice(7 * n, 7 * n + 7));
  const total = list.reduce((sum, one) => sum + one.pnl, 0);
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
