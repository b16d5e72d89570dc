// What the buttons and keys do.

import { signal } from "@preact/signals";
import { patch, post, type Schema } from "../api/http";
import { isoOf, MINUTE_MS, msOf } from "../lib/time";
import { refresh } from "./follow";
import { tellError } from "./log";
import { anchor, applyAnswer, newsCount, plan, session, state } from "./session";

export type Unit = Schema<"Step">["unit"];

export const SPEEDS = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1000, 5000, 20000, 0];
export const speedText = (speed: number): string => (speed === 0 ? "max" : `${speed.toLocaleString("en-US")}\u00D7`);

const WAIT_S = 25; // then the server goes on, and the stream says when it is done

/** What is going on, in a word; null where nothing is. */
export const busy = signal<string | null>(null);

async function command(what: string, act: () => Promise<Schema<"Session">>): Promise<void> {
  busy.value = what;
  const asked = newsCount();
  try {
    applyAnswer(await act(), asked);
    refresh();
  } catch (error) {
    tellError(`${what[0]!.toUpperCase()}${what.slice(1)}`, error);
  } finally {
    busy.value = null;
  }
}

export const pause = (): Promise<void> => command("pause", () => post("/api/v1/session/pause", undefined));
export const resume = (): Promise<void> => command("play", () => post("/api/v1/session/resume", undefined));
export const stop = (): Promise<void> => command("stop", () => post("/api/v1/session/stop", undefined));

export async function toggle(): Promise<void> {
  if (state.value === "RUNNING") await pause();
  else if (state.value === "PAUSED") await resume();
}

export async function step(unit: Unit, count = 1): Promise<void> {
  if (state.value === "RUNNING") await pause();
  if (state.value !== "PAUSED") return;
  await command(`step by ${unit}`, () => post("/api/v1/session/step", { unit, count }, { query: { wait_s: WAIT_S } }));
}

export const setSpeed = (speed: number): Promise<void> =>
  command("speed", () => patch("/api/v1/session", { speed }));

/** One step up or down the ladder of speeds. */
export async function changeSpeed(direction: 1 | -1): Promise<void> {
  const now = session.value?.speed;
  if (now == null) return;
  const rank = (speed: number): number => (speed === 0 ? Infinity : speed);
  const next =
    direction > 0
      ? SPEEDS.find((speed) => rank(speed) > rank(now))
      : SPEEDS.findLast((speed) => rank(speed) < rank(now));
  if (next !== undefined) await setSpeed(next);
}

export const seek = (time: string): Promise<void> =>
  command("seek", () => post("/api/v1/session/seek", { time }, { query: { wait_s: WAIT_S } }));

export const runUntil = (until: "fill" | "gap" | "close"): Promise<void> =>
  command(`run to the next ${until}`, () =>
    post("/api/v1/session/run-to", { until }, { query: { wait_s: WAIT_S } }));

/** Back to the minute before, across a night where there is one. */
export async function backBar(): Promise<void> {
  const now = anchor.value?.ms;
  const days = plan.value?.days;
  if (now === undefined || days === undefined) return;
  const target = (Math.ceil(now / MINUTE_MS) - 1) * MINUTE_MS;
  const at = days.findLastIndex((day) => msOf(day.open) <= now);
  const day = days[at];
  if (day === undefined) return;
  if (target >= msOf(day.open)) await seek(isoOf(target));
  else if (at > 0) await seek(days[at - 1]!.close);
}

/** To the day's open; from there to that of the day before. */
export async function backDay(): Promise<void> {
  const now = anchor.value?.ms;
  const days = plan.value?.days;
  if (now === undefined || days === undefined) return;
  const day = days.findLast((one) => msOf(one.open) < now) ?? days[0];
  if (day !== undefined) await seek(day.open);
}
