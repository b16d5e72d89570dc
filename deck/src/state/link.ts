// The line to the server: opened, watched, opened again; and what is asked for over it.

import { effect, signal } from "@preact/signals";
import { get, ServerError } from "../api/http";
import type { Frame } from "../api/frames";
import { StreamSocket, type Subscription } from "../api/socket";
import { log, tell } from "./log";
import { takeSlices } from "./market";
import { shownSymbols, ticksWanted } from "./panes";
import { applyAfterLoss, applyAnswer, applyNews, live, newsCount, plan, session, state } from "./session";

export type Link = { state: "connecting" | "open" | "lost" | "login"; attempt: number };

const INTERVAL_MS = 100;
const RETRY_MS = [500, 1000, 2000, 4000, 5000];
const ANSWER_MS = 5000;
const WATCH_MS = { running: 1000, quiet: 4000 };

export const link = signal<Link>({ state: "connecting", attempt: 0 });

const socket = new StreamSocket({ frame: take, closed });
let retry: number | undefined;
let wished = "";

/** Ask who is there, then open the stream. */
export async function connect(): Promise<void> {
  window.clearTimeout(retry);
  try {
    await get("/api/v1/session", { signal: AbortSignal.timeout(ANSWER_MS) }); // says why not, as a socket cannot
    socket.open();
  } catch (error) {
    if (error instanceof ServerError && error.status === 401) link.value = { state: "login", attempt: 0 };
    else lost();
  }
}

function lost(): void {
  const { state: before, attempt } = link.value;
  if (before === "open") log("warning", "the connection to the server is lost");
  socket.close();
  link.value = { state: before === "connecting" && attempt === 0 ? "connecting" : "lost", attempt: attempt + 1 };
  if (link.value.attempt > 1) link.value = { ...link.value, state: "lost" };
  window.clearTimeout(retry);
  retry = window.setTimeout(() => void connect(), RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)]);
}

function closed(code: number, reason: string): void {
  if (reason) log("warning", `the stream was closed: ${reason} (${code})`);
  lost();
}

function take(frame: Frame): void {
  switch (frame.type) {
    case "hello":
      greeted(frame.session);
      break;
    case "slices":
      takeSlices(frame);
      break;
    case "status":
    case "end":
      applyNews(frame);
      break;
    case "error":
      // Another session has just taken the place: what was asked for is of the old one, and is asked for anew.
      if (frame.code === "unknown_symbol") wished = "";
      else tell("error", `The stream says: ${frame.detail}`);
      break;
    case "snapshot": // a status came before it, upon which all is read anew
      break;
  }
}

function greeted(found: NonNullable<typeof session.value>): void {
  const again = link.value.state === "lost";
  link.value = { state: "open", attempt: 0 };
  if (again) applyAfterLoss(found);
  else applyNews(found);
  wished = "";
  subscribe(wish());
}

function wish(): Subscription {
  const found = plan.value;
  const symbols = found === null ? [] : shownSymbols.value.filter((name) => found.symbols.includes(name));
  const channels = ["status"];
  if (found !== null && symbols.length > 0) {
    channels.push(...found.intervals.filter((name) => name.endsWith("m")).map((name) => `bars_${name}`));
    if (ticksWanted.value) channels.push("trades", "quotes");
  }
  return {
    action: "subscribe", channels, symbols: symbols.length ? symbols : ["*"], delivery: "conflate",
    interval_ms: INTERVAL_MS,
  };
}

function subscribe(wanted: Subscription): void {
  const text = JSON.stringify(wanted);
  if (text === wished || link.value.state !== "open") return;
  wished = text;
  socket.subscribe(wanted);
}

/** A line can be dead without a word: so the server is asked now and then. */
async function watch(): Promise<void> {
  if (link.value.state === "open") {
    const asked = newsCount();
    try {
      applyAnswer(await get("/api/v1/session", { signal: AbortSignal.timeout(ANSWER_MS) }), asked);
    } catch (error) {
      if (link.value.state === "open" && error instanceof ServerError && error.status === 0) lost();
    }
  }
  const pause = live.value && state.value === "RUNNING" ? WATCH_MS.running : WATCH_MS.quiet;
  window.setTimeout(() => void watch(), pause);
}

export function start(): void {
  effect(() => subscribe(wish()));
  void connect();
  void watch();
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && link.value.state === "lost") void connect();
  });
}
