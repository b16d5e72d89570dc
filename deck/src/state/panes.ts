// Which symbols are looked at: the watch list and the charts.

import { computed, signal } from "@preact/signals";
import { kept } from "../lib/store";
import { changes, plan } from "./session";

export type Pane = { id: number; symbol: string; interval: string };

export const MOST_PANES = 6;
const MOST_WATCHED = 20;
const TICKS = "ticks";

const isPanes = (value: unknown): value is Pane[] =>
  Array.isArray(value) &&
  value.every((one) => typeof one?.id === "number" && typeof one.symbol === "string" && typeof one.interval === "string");
const isNames = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((one) => typeof one === "string");

export const panes = kept<Pane[]>("panes", [], isPanes);
export const watched = kept<string[]>("watched", [], isNames);
/** The pane that orders and keys are about. */
export const focused = signal(0);

export const focusedSymbol = computed(
  () => panes.value.find((pane) => pane.id === focused.value)?.symbol ?? panes.value[0]?.symbol ?? "",
);
export const shownSymbols = computed(() => [
  ...new Set([...watched.value, ...panes.value.map((pane) => pane.symbol)]),
].sort());
const tickStreams = computed(() => plan.value?.streams.some((name) => name === "trades" || name === "quotes") ?? false);
export const intervals = computed(() => [...(tickStreams.value ? [TICKS] : []), ...(plan.value?.intervals ?? [])]);
export const ticksWanted = computed(() => tickStreams.value);

/** Fit what was looked at before to a session's symbols. */
function fit(): void {
  const found = plan.value;
  if (found === null) return;
  const known = new Set(found.symbols);
  const still = watched.value.filter((name) => known.has(name));
  const chosen = still.length > 0 && found.symbols.length > MOST_WATCHED;
  watched.value = chosen ? still : found.symbols.slice(0, MOST_WATCHED);
  const allowed = new Set(intervals.value);
  const kept = panes.value
    .filter((pane) => known.has(pane.symbol))
    .map((pane) => (allowed.has(pane.interval) ? pane : { ...pane, interval: "1m" }));
  panes.value = kept.length ? kept : [{ id: 1, symbol: watched.value[0] ?? "", interval: "1m" }];
}

changes.on((change) => {
  if (change === "session") fit();
});

export function addPane(symbol: string): void {
  if (panes.value.length >= MOST_PANES) return;
  const id = Math.max(0, ...panes.value.map((pane) => pane.id)) + 1;
  panes.value = [...panes.value, { id, symbol, interval: "1m" }];
  focused.value = id;
}

export function removePane(id: number): void {
  panes.value = panes.value.filter((pane) => pane.id !== id);
}

export function changePane(id: number, change: Partial<Pane>): void {
  panes.value = panes.value.map((pane) => (pane.id === id ? { ...pane, ...change } : pane));
}

/** Show a symbol in the focused chart. */
export function showSymbol(symbol: string): void {
  const pane = panes.value.find((one) => one.id === focused.value) ?? panes.value[0];
  if (pane === undefined) addPane(symbol);
  else changePane(pane.id, { symbol });
}

export function watch(symbol: string, on: boolean): void {
  const others = watched.value.filter((name) => name !== symbol);
  watched.value = on ? [...others, symbol].slice(-MOST_WATCHED) : others;
}
