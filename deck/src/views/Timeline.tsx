// All trading days of the session in a row: where it is, where data is missing, where was traded.

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { computed, signal } from "@preact/signals";
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

const spans = computed(() => spansOf(plan.value));
/** Where a hand or a key is, before the seek has begun. */
const target = signal<number | null>(null);
const now = computed(() => Math.max(anchor.value?.ms ?? 0, spans.value[0]?.open ?? 0));
const shown = computed(() => target.value ?? now.value);
const place = computed(() => placeOf(spans.value, shown.value));
// Each writes its own attribute, where that has changed: the section is not made anew as the clock moves.
const doneStyle = computed(() => `width: ${100 * placeOf(spans.value, now.value)}%`);
const headStyle = computed(() => `left: ${100 * place.value}%`);
const thousandth = computed(() => Math.round(1000 * place.value));
const said = computed(() => `${dateText(shown.value, zone.value)} ${clockText(shown.value, zone.value)}`);

export function Timeline(): JSX.Element | null {
  const line = useRef<HTMLDivElement>(null);
  const timer = useRef<number | undefined>(undefined);
  const dragging = useRef(false);
  useEffect(() => () => {
    window.clearTimeout(timer.current);
    target.value = null;
  }, []);
  if (spans.value.length === 0) return null;

  const go = (ms: number): void => {
    target.value = null;
    void seek(isoOf(ms));
  };
  const under = (event: PointerEvent): number => {
    const box = line.current!.getBoundingClientRect();
    return timeAt(spans.value, (event.clientX - box.left) / box.width);
  };
  const later = (ms: number): void => {
    target.value = ms;
    window.clearTimeout(timer.current);
    timer.current = window.setTimeout(() => go(ms), PAGE_KEYS_MS);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const next = keyTarget(event.key, spans.value, shown.value);
    if (next === null) return;
    event.preventDefault();
    event.stopPropagation();
    later(next);
  };
  return (
    <section class="timeline" aria-label="Timeline">
      <div
        ref={line} class="timeline-line" role="slider" tabIndex={0} aria-label="Seek"
        aria-valuemin={0} aria-valuemax={1000} aria-valuenow={thousandth} aria-valuetext={said}
        onKeyDown={onKeyDown}
        onPointerDown={(event) => {
          dragging.current = true;
          line.current!.setPointerCapture(event.pointerId);
          target.value = under(event);
        }}
        onPointerMove={(event) => {
          if (dragging.current) target.value = under(event);
        }}
        onPointerUp={(event) => {
          if (dragging.current) go(under(event));
          dragging.current = false;
        }}
        onPointerCancel={() => {
          dragging.current = false;
          target.value = null;
        }}
      >
        <div class="timeline-done" style={doneStyle} />
        <Days spans={spans.value} />
        <Events spans={spans.value} />
        <div class="timeline-head" style={headStyle}><Tip /></div>
      </div>
      <Jump spans={spans.value} />
    </section>
  );
}

function Tip(): JSX.Element | null {
  if (target.value === null) return null;
  return (
    <span class={`timeline-tip ${place.value > 0.8 ? "left" : ""}`}>
      {weekday(shown.value, zone.value)} {dateText(shown.value, zone.value)} {shortTime(shown.value, zone.value)}
    </span>
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
function Jump({ spans }: { spans: Span[] }): JSX.Element {
  const [day, setDay] = useState<string | null>(null);
  const [time, setTime] = useState<string | null>(null);
  const options = useMemo(() => spans.map((span) => (
    <option value={span.day}>{span.day}{span.half ? " (half day)" : ""}</option>
  )), [spans]);
  // As of the last status, not of each frame: a field of time is dear to write.
  const now = Math.max(session.value?.time == null ? 0 : msOf(session.value.time), spans[0]!.open);
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
