// What the page keeps from visit to visit, in this browser alone.

import { effect, signal, type Signal } from "@preact/signals";

/** A signal whose value is kept under a name; `check` refuses what is not of its kind any more. */
export function kept<T>(name: string, first: T, check: (value: unknown) => value is T): Signal<T> {
  const key = `tapedeck.${name}`;
  let value = first;
  try {
    const found: unknown = JSON.parse(localStorage.getItem(key) ?? "null");
    if (check(found)) value = found;
  } catch {
    localStorage.removeItem(key); // not JSON: another program's
  }
  const found = signal(value);
  effect(() => localStorage.setItem(key, JSON.stringify(found.value)));
  return found;
}

export const isText = (value: unknown): value is string => typeof value === "string";
