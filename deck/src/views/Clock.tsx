// The simulated clock, the session's state and how far behind its schedule it is.

import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { computed, effect, signal } from "@preact/signals";
import { number, whole } from "../lib/format";
import { clockText, dateText, duration, weekday, zoneName } from "../lib/time";
import { busy, speedText } from "../state/commands";
import { link } from "../state/link";
import { anchor, session, state, zone } from "../state/session";
import { Icon, type IconName } from "./parts";

const SMOOTH_SPEED = 120; // above, nobody reads the seconds, and the stream's own steps are fast enough
const MOST_AHEAD_MS = 1500; // of wall time, without news
const LAG_SHOWN_MS = 100;

const SHAPES: Record<string, [IconName, string]> = {
  STARTING: ["wait", "Starting"], RUNNING: ["play", "Running"], PAUSED: ["pause", "Paused"],
  STOPPING: ["wait", "Stopping"], STOPPED: ["stop", "Stopped"], COMPLETED: ["check", "Completed"], FAILED: ["close", "Failed"],
};

/** Whether the clock goes on by itself between two frames. */
function runsOn(): boolean {
  const speed = session.value?.speed ?? 0;
  return state.value === "RUNNING" && speed > 0 && speed <= SMOOTH_SPEED && link.value.state === "open";
}

/** The time to show now: it goes on between two frames at the session's speed. */
function shownMs(): number | null {
  const found = anchor.value;
  if (found === null || !runsOn()) return found?.ms ?? null;
  return found.ms + Math.min(performance.now() - found.at, MOST_AHEAD_MS) * (session.value?.speed ?? 0);
}

const shownSecond = signal<number | null>(null);
// Each writes its own text, where that has changed: nothing else of the page is looked at.
const face = computed(() => (shownSecond.value === null ? "--:--:--" : clockText(1000 * shownSecond.value, zone.value)));
const hour = computed(() => (shownSecond.value === null ? null : Math.floor(shownSecond.value / 3600)));
const date = computed(() => {
  if (hour.value === null) return "not begun";
  const ms = 3_600_000 * hour.value;
  return `${weekday(ms, zone.value)} ${dateText(ms, zone.value)} ${zoneName(ms, zone.value)}`;
});

/** Follows the clock, at most once a frame, and not at all while it stands. */
function follow(): () => void {
  let frame = 0;
  const draw = (): void => {
    const ms = shownMs();
    shownSecond.value = ms === null ? null : Math.floor(ms / 1000);
    frame = runsOn() ? requestAnimationFrame(draw) : 0;
  };
  const stop = effect(() => {
    cancelAnimationFrame(frame);
    draw();
  });
  return () => {
    stop();
    cancelAnimationFrame(frame);
  };
}

export function Clock(): JSX.Element {
  useEffect(follow, []);
  return (
    <div class="clock">
      <time class="clock-time" role="timer" aria-label="Simulated time">{face}</time>
      <div class="clock-date">{date}</div>
    </div>
  );
}

export function StateLine(): JSX.Element {
  const found = session.value;
  const [icon, text] = SHAPES[state.value] ?? ["wait", state.value];
  const lag = found?.lag_ms ?? null;
  const eta = found?.progress?.eta_s ?? null;
  return (
    <div class="state-line">
      <span class={`chip state-${state.value.toLowerCase()}`} role="status" aria-label="State">
        <Icon name={icon} /> {text}
      </span>
      {found?.id != null && (
        <>
          <span title="Market seconds a second">{speedText(found.speed ?? 0)}</span>
          <span class={lag !== null && lag >= LAG_SHOWN_MS ? "warn" : ""} title="How far the clock is behind its schedule">
            lag {lag !== null && lag >= LAG_SHOWN_MS ? "! " : ""}{number(lag ?? 0, 0)} ms
          </span>
          {found.progress && (
            <span>day {Math.min(found.progress.days_done + 1, found.progress.days_total)} of {found.progress.days_total}</span>
          )}
          {found.progress && <span class="wide-only">{whole(found.progress.items_delivered)} items</span>}
          {state.value === "RUNNING" && eta !== null && <span class="wide-only">{duration(eta)} to go</span>}
        </>
      )}
      {busy.value && <span class="busy">{busy.value}…</span>}
    </div>
  );
}
