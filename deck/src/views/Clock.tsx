// The simulated clock, the session's state and how far behind its schedule it is.

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { number, whole } from "../lib/format";
import { clockText, dateText, duration, weekday, zoneName } from "../lib/time";
import { busy, speedText } from "../state/commands";
import { link } from "../state/link";
import { anchor, session, state, zone } from "../state/session";
import { Icon, type IconName } from "./parts";

const SMOOTH_SPEED = 3600; // above, the stream's own steps are fast enough
const MOST_AHEAD_MS = 1500; // of wall time, without news
const LAG_SHOWN_MS = 100;

const SHAPES: Record<string, [IconName, string]> = {
  STARTING: ["wait", "Starting"], RUNNING: ["play", "Running"], PAUSED: ["pause", "Paused"],
  STOPPING: ["wait", "Stopping"], STOPPED: ["stop", "Stopped"], COMPLETED: ["check", "Completed"], FAILED: ["close", "Failed"],
};

/** The time to show now: it goes on between two frames at the session's speed. */
function shownMs(): number | null {
  const found = anchor.value;
  const speed = session.value?.speed ?? 0;
  if (found === null) return null;
  if (state.value !== "RUNNING" || speed === 0 || speed > SMOOTH_SPEED || link.value.state !== "open") return found.ms;
  return found.ms + Math.min(performance.now() - found.at, MOST_AHEAD_MS) * speed;
}

function useShownSecond(): number | null {
  const [second, setSecond] = useState<number | null>(null);
  useEffect(() => {
    let frame = 0;
    const draw = (): void => {
      const ms = shownMs();
      setSecond(ms === null ? null : Math.floor(ms / 1000));
      frame = requestAnimationFrame(draw);
    };
    draw();
    return () => cancelAnimationFrame(frame);
  }, []);
  return second;
}

export function Clock(): JSX.Element {
  const second = useShownSecond();
  const ms = second === null ? null : second * 1000;
  const where = zone.value;
  return (
    <div class="clock">
      <time class="clock-time" role="timer" aria-label="Simulated time">
        {ms === null ? "--:--:--" : clockText(ms, where)}
      </time>
      <div class="clock-date">
        {ms === null ? "not begun" : `${weekday(ms, where)} ${dateText(ms, where)} ${zoneName(ms, where)}`}
      </div>
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
