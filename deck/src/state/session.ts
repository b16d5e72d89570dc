// The session that is shown: its state, plan and clock; one writer, `apply`.

import { computed, signal } from "@preact/signals";
import { get, ServerError, type Schema } from "../api/http";
import type { Session } from "../api/frames";
import { News } from "../lib/calm";
import { msOf } from "../lib/time";
import { log, tell, tellError } from "./log";

export type Plan = Schema<"Plan">;
export type Change = "session" | "epoch" | "day" | "state" | "speed";

export const session = signal<Session | null>(null);
export const plan = signal<Plan | null>(null);
/** Told after the signals are set. */
export const changes = new News<Change>();

export const state = computed(() => session.value?.state ?? "STOPPED");
export const live = computed(() => ["STARTING", "RUNNING", "PAUSED", "STOPPING"].includes(state.value));
export const ended = computed(() => session.value?.id != null && !live.value);
export const zone = computed(() => plan.value?.time_zone ?? "UTC");
export const trades = computed(() => plan.value?.trades ?? false);

/** Simulated time and when it was so, to show it move between two frames. */
export type Anchor = { ms: number; at: number };
export const anchor = signal<Anchor | null>(null);

const PLAN_TRIES = 50;
const PLAN_PAUSE_MS = 100;

let heard = 0; // of the news over the stream; an answer that was asked for before is older

export const newsCount = (): number => heard;

export function applyNews(found: Session): void {
  heard += 1;
  apply(found);
}

/** Take an answer of GET /session that was asked for when `newsCount()` was `asked`. */
export function applyAnswer(found: Session, asked: number): void {
  if (asked === heard) apply(found);
}

/** Another server may answer under the old address, with a session of the same name: forget all. */
export function applyAfterLoss(found: Session): void {
  const before = session.value;
  heard += 1;
  session.value = null;
  if (before?.id != null && found.id === null) tell("warning", "The server was restarted; its session is gone.");
  else tell("info", "Connected again.");
  apply(found);
}

export function moveClock(time: string): void {
  anchor.value = { ms: msOf(time), at: performance.now() };
}

function apply(found: Session): void {
  const before = session.value;
  session.value = found;
  if (found.time !== null) moveClock(found.time);
  else anchor.value = null;
  if (before === null || before.id !== found.id) {
    began(found);
    return;
  }
  if (before.epoch !== found.epoch) {
    log("info", `went back in time: epoch ${found.epoch}`);
    changes.tell("epoch");
  }
  if (before.trading_day !== found.trading_day) changes.tell("day");
  if (before.speed !== found.speed) changes.tell("speed");
  if (before.state !== found.state) {
    tellState(found);
    changes.tell("state");
  }
}

function began(found: Session): void {
  plan.value = null;
  if (found.id === null) {
    changes.tell("session");
    return;
  }
  log("info", `session ${found.id} is ${found.state}`);
  void loadPlan(found.id);
}

/** The stream tells of a session a moment before it takes the old one's place. */
async function loadPlan(id: string, tries = PLAN_TRIES): Promise<void> {
  const again = (): number => window.setTimeout(() => void loadPlan(id, tries - 1), PLAN_PAUSE_MS);
  if (session.value?.id !== id) return; // another one has taken its place
  try {
    const found = await get("/api/v1/session/plan");
    if (session.value?.id !== id) return;
    if (found.id !== id && tries > 0) {
      again();
      return;
    }
    plan.value = found;
    changes.tell("session");
  } catch (error) {
    if (error instanceof ServerError && error.status === 409 && tries > 0) again();
    else tellError("The session's plan cannot be read", error);
  }
}

function tellState(found: Session): void {
  if (found.state === "FAILED") log("error", `the session failed: ${found.error ?? "no cause is known"}`);
  else log("info", `the session is ${found.state}`);
}
