// Numbers for people: always as many decimals in a column, a sign where it is a change.

const MINUS = "\u2212";
export const NONE = "\u2013";

const fixed = new Map<number, Intl.NumberFormat>();

function numbers(decimals: number): Intl.NumberFormat {
  let found = fixed.get(decimals);
  if (found === undefined) {
    found = new Intl.NumberFormat("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
    fixed.set(decimals, found);
  }
  return found;
}

export function number(value: number | null | undefined, decimals = 2): string {
  if (value === null || value === undefined) return NONE;
  const text = numbers(decimals).format(value);
  return /[1-9]/.test(text) ? text.replace("-", MINUS) : text.replace("-", ""); // no zero is below zero
}

/** A price: two decimals, four below one. */
export const price = (value: number | null | undefined): string =>
  number(value, value !== null && value !== undefined && Math.abs(value) < 1 && value !== 0 ? 4 : 2);

export const whole = (value: number | null | undefined): string =>
  number(value, value !== null && value !== undefined && !Number.isInteger(value) ? 2 : 0);

export function signed(value: number | null | undefined, decimals = 2): string {
  if (value === null || value === undefined) return NONE;
  return (value > 0 ? "+" : "") + number(value, decimals);
}

export const percent = (fraction: number | null | undefined, decimals = 2): string =>
  fraction === null || fraction === undefined ? NONE : `${signed(100 * fraction, decimals)} %`;

export const countText = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? "" : "s"}`;

const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
export const short = (value: number | null | undefined): string =>
  value === null || value === undefined ? NONE : compact.format(value);

/** A shape that says what a colour says too. */
export const arrow = (value: number | null | undefined): string =>
  value === null || value === undefined || value === 0 ? "" : value > 0 ? "\u25B2" : "\u25BC";

export const tone = (value: number | null | undefined): string =>
  value === null || value === undefined || value === 0 ? "" : value > 0 ? "up" : "down";
