// What the page saw and did, newest first.

import { signal } from "@preact/signals";
import { ServerError } from "../api/http";

export type Level = "info" | "warning" | "error";
export type Entry = { id: number; wall: Date; level: Level; text: string };

const KEPT = 300;
let last = 0;

export const entries = signal<Entry[]>([]);
/** The last thing that a person should see at once; null when it was seen. */
export const notice = signal<Entry | null>(null);

export function log(level: Level, text: string): Entry {
  last += 1;
  const entry = { id: last, wall: new Date(), level, text };
  entries.value = [entry, ...entries.value.slice(0, KEPT - 1)];
  return entry;
}

/** Log it and show it. */
export function tell(level: Level, text: string): void {
  notice.value = log(level, text);
}

export function tellError(what: string, error: unknown): void {
  const text = error instanceof ServerError ? error.message : String(error);
  tell("error", `${what}: ${text}`);
}
