// Times as the server writes them, shown in the exchange's zone.

export const MINUTE_MS = 60_000;
export const DAY_MS = 86_400_000;

/** Milliseconds since 1970; decimals below are cut off. */
export const msOf = (text: string): number => Date.parse(text);
export const isoOf = (ms: number): string => new Date(ms).toISOString().replace(".000Z", "Z");

const formats = new Map<string, Intl.DateTimeFormat>();

function format(zone: string, kind: string, options: Intl.DateTimeFormatOptions, language = "en-GB"): Intl.DateTimeFormat {
  const key = `${zone} ${kind}`;
  let found = formats.get(key);
  if (found === undefined) {
    found = new Intl.DateTimeFormat(language, { timeZone: zone, hourCycle: "h23", ...options });
    formats.set(key, found);
  }
  return found;
}

const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit" } as const;
const SHORT = { hour: "2-digit", minute: "2-digit" } as const;
const DATE = { year: "numeric", month: "2-digit", day: "2-digit" } as const;

export const clockText = (ms: number, zone: string): string => format(zone, "clock", CLOCK).format(ms);
export const shortTime = (ms: number, zone: string): string => format(zone, "short", SHORT).format(ms);
export const weekday = (ms: number, zone: string): string => format(zone, "week", { weekday: "short" }).format(ms);
export const zoneName = (ms: number, zone: string): string =>
  format(zone, "name", { timeZoneName: "short" }, "en-US").formatToParts(ms).find((p) => p.type === "timeZoneName")?.value ?? zone;

/** The local date, as 2013-10-07. */
export function dateText(ms: number, zone: string): string {
  const parts = Object.fromEntries(format(zone, "date", DATE).formatToParts(ms).map((p) => [p.type, p.value]));
  return `${parts.year}-${parts.month}-${parts.day}`;
}

export const stamp = (text: string, zone: string): string => {
  const ms = msOf(text);
  return `${dateText(ms, zone).slice(5)} ${clockText(ms, zone)}`;
};

/** Milliseconds by which a zone's wall clock is ahead of UTC at a time. */
export function offsetMs(ms: number, zone: string): number {
  const local = Date.parse(`${dateText(ms, zone)}T${clockText(ms, zone)}Z`);
  return local - Math.floor(ms / 1000) * 1000;
}

export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}
