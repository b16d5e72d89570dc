// All trading days of the session in a row: where it is, where data is missing, where was traded.

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Schema } from "../api/http";
import { clockText, dateText, isoOf, MINUTE_MS, msOf, shortTime, weekday } from "../lib/time";
import { seek } from "../state/commands";
import { days as records, desk } from "../state/follow";
import { anchor, plan, session, zone, type Plan } from "../state/session";

type Span = { day: string; open: number; close: number; half: boolean };

const PAGE_KEYS_MS = 400; // after the last key the seek begins
const MOST_LABELS = 12;

/** Where a time stands on the line, 0 to 1; nights take no room. */
function placeOf(spans: Span[], ms: number): number {
  const at = Math.max(0, spans.findLastIndex((span) => span.open <= ms));
  const span = spans[at]!;
  const within = (ms - span.open) / (span.close - span.open);
  return (at + Math.max(0, Math.min(1, within))) / spans.length;
}

/** The time at a place, on a whole minute. */
function timeAt(spans: Span[], place: number): number {
  const scaled = Math.max(0, Math.min(1, place)) * spans.length;
  const at = Math.min(spans.length - 1, Math.floor(scaled));
  const span = spans[at]!;
  const ms = span.open + (scaled - at) * (span.close - span.open);
  return Math.max(span.open, Math.round(ms / MINUTE_MS) * MINUTE_MS);
}

const spansOf = (found: Plan | null): Span[] =>
  found?.days.map((day) => ({ day: day.day, open: msOf(day.open), close: msOf(day.close), half: day.half_day })) ?? [];

export function Timeline(): JSX.Element | null {
  const spans = useMemo(() => spansOf(plan.value), [plan.value]);
  const still = useMemo(() => <><Days spans={spans} /><Events spans={spans} /></>, [spans]); // while the clock moves
  const line = useRef<HTMLDivElement>(null);
  const [target, setTarget] = useState<number | null>(null);
  const timer = useRef<number | undefined>(undefined);
  const dragging = useRef(false);
  useEffect(() => () => window.clearTimeout(timer.current), []);
  if (spans.length === 0) return null;

  const first = spans[0]!;
  const now = Math.max(anchor.value?.ms ?? first.open, first.open);
  const shown = target ?? now;
  const go = (ms: number): void => {
    setTarget(null);
    void seek(isoOf(ms));
  };
  const under = (event: PointerEvent): number => {
    const box = line.current!.getBoundingClientRect();
    return timeAt(spans, (event.clientX - box.left) / box.width);
  };
  const later = (ms: number): void => {
    setTarget(ms);
    window.clearTimeout(timer.current);
    timer.current = window.setTimeout(() => go(ms), PAGE_KEYS_MS);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const next = keyTarget(event.key, spans, shown);
    if (next === null) return;
    event.preventDefault();
    event.stopPropagation();
    later(next);
  };
  return (
    <section class="timeline" aria-label="Timeline">
      <div
        ref={line} class="timeline-line" role="slider" tabIndex={0} aria-label="Seek"
        aria-valuemin={0} aria-valuemax={1000} aria-valuenow={Math.round(1000 * placeOf(spans, shown))}
        aria-valuetext={`${dateText(shown, zone.value)} ${clockText(shown, zone.value)}`}
        onKeyDown={onKeyDown}
        onPointerDown={(event) => {
          dragging.current = true;
          line.current!.setPointerCapture(event.pointerId);
          setTarget(under(event));
        }}
        onPointerMove={(event) => dragging.current && setTarget(under(event))}
        onPointerUp={(event) => {
          if (dragging.current) go(under(event));
          dragging.current = false;
        }}
        onPointerCancel={() => {
          dragging.current = false;
          setTarget(null);
        }}
      >
        <div class="timeline-done" style={{ width: `${100 * placeOf(spans, now)}%` }} />
        {still}
        <div class="timeline-head" style={{ left: `${100 * placeOf(spans, shown)}%` }}>
          {target !== null && (
            <span class={`timeline-tip ${placeOf(spans, shown) > 0.8 ? "left" : ""}`}>
              {weekday(shown, zone.value)} {dateText(shown, zone.value)} {shortTime(shown, zone.value)}
            </span>
          )}
        </div>
      </div>
      <Jump spans={spans} now={now} />
    </section>
  );
}

function keyTarget(key: string, spans: Span[], now: number): number | null {
  const at = Math.max(0, spans.findLastIndex((span) => span.open <= now));
  const span = spans[at]!;
  const minute = Math.round(now / MINUTE_MS) * MINUTE_MS;
  const last = spans.at(-1)!;
  switch (key) {
    case "ArrowRight":
    case "ArrowUp":
      return minute >= span.close ? (spans[at + 1]?.open ?? last.close) : minute + MINUTE_MS;
    case "ArrowLeft":
    case "ArrowDown":
      return minute <= span.open ? (spans[at - 1]?.close ?? span.open) : minute - MINUTE_MS;
    case "PageUp":
      return spans[at + 1]?.open ?? last.close;
    case "PageDown":
      return now > span.open ? span.open : (spans[at - 1]?.open ?? span.open);
    case "Home":
      return spans[0]!.open;
    case "End":
      return last.close;
    default:
      return null;
  }
}

function Days({ spans }: { spans: Span[] }): JSX.Element {
  const every = Math.ceil(spans.length / MOST_LABELS);
  return (
    <>
      {spans.map((span, n) => (
        <div
          key={span.day} class={`timeline-day ${span.half ? "half" : ""}`}
          style={{ left: `${(100 * n) / spans.length}%`, width: `${100 / spans.length}%` }}
        >
          {n % every === 0 && <span class="timeline-label">{span.day.slice(5)}{span.half ? " ½" : ""}</span>}
        </div>
      ))}
    </>
  );
}

/** Gaps of any symbol as bars below, fills as triangles above. */
function Events({ spans }: { spans: Span[] }): JSX.Element {
  const gaps = useMemo(() => gapSpans(records.value), [records.value]);
  const fills = desk.value?.fills ?? [];
  const left = (ms: number): string => `${100 * placeOf(spans, ms)}%`;
  return (
    <svg class="timeline-events" aria-hidden="true">
      {gaps.map(([from, to]) => (
        <svg key={from} x={left(from)} width={`max(3px, ${100 * (placeOf(spans, to) - placeOf(spans, from))}%)`} y="26" height="6" overflow="visible">
          <rect class="gap" width="100%" height="6" />
        </svg>
      ))}
      {fills.map((fill) => (
        <svg key={fill.id} x={left(msOf(fill.time))} overflow="visible">
          <path class={fill.side === "buy" ? "buy" : "sell"} d={fill.side === "buy" ? "M-4 9 0 2 4 9z" : "M-4 2 0 9 4 2z"} />
        </svg>
      ))}
    </svg>
  );
}

/** Runs of minutes that some symbol lacks. */
function gapSpans(found: Schema<"DayRecord">[]): [number, number][] {
  const all = found
    .flatMap((day) => Object.values(day.symbols).flatMap((one) => one.gaps))
    .map((gap): [number, number] => [msOf(gap.start), msOf(gap.end)])
    .sort((a, b) => a[0] - b[0]);
  const joined: [number, number][] = [];
  for (const [from, to] of all) {
    const last = joined.at(-1);
    if (last !== undefined && from <= last[1]) last[1] = Math.max(last[1], to);
    else joined.push([from, to]);
  }
  return joined;
}

/** The same without a mouse: a day and a time of the exchange. */
function Jump({ spans, now }: { spans: Span[]; now: number }): JSX.Element {
  const [day, setDay] = useState<string | null>(null);
  const [time, setTime] = useState<string | null>(null);
  const options = useMemo(() => spans.map((span) => (
    <option value={span.day}>{span.day}{span.half ? " (half day)" : ""}</option>
  )), [spans]);
  const at = Math.max(0, spans.findLastIndex((span) => span.open <= now));
  const chosen = spans.find((span) => span.day === day) ?? spans[at]!;
  const clock = time ?? shortTime(now, zone.value);
  const go = (event: Event): void => {
    event.preventDefault();
    const [hours, minutes] = clock.split(":").map(Number);
    const open = shortTime(chosen.open, zone.value).split(":").map(Number);
    const ahead = (hours! - open[0]!) * 60 + minutes! - open[1]!;
    void seek(isoOf(chosen.open + ahead * MINUTE_MS));
    setDay(null);
    setTime(null);
  };
  return (
    <form class="jump" aria-label="Go to" onSubmit={go}>
      <select aria-label="Day" value={chosen.day} onChange={(event) => setDay(event.currentTarget.value)}>
        {options}
      </select>
      <input type="time" aria-label="Time" value={clock} required onInput={(event) => setTime(event.currentTarget.value)} />
      <button type="submit" class="button" disabled={session.value?.id == null}>Go</button>
    </form>
  );
}
