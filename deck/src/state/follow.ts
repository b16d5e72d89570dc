// What is read over HTTP while the session moves: at most once a second, and only after news.

import { signal } from "@preact/signals";
import { get, ServerError, type Schema } from "../api/http";
import { Calm } from "../lib/calm";
import { dayCloses, type DayResult, type Point } from "../lib/daily";
import { log } from "./log";
import { batches } from "./market";
import { shownSymbols } from "./panes";
import { changes, live, plan, session, state, trades } from "./session";

export type Desk = {
  account: Schema<"Account">;
  positions: Schema<"Position">[];
  orders: Schema<"Order">[];
  fills: Schema<"Fill">[];
  signals: Schema<"Signal">[];
};

const KEPT_POINTS = 5000;
const LIMIT = 300;
const MOST_RECORDS = 20_000; // of days and symbols: more are read only while nothing runs
const MOST_FILLS = 10_000;

export const data = signal<Schema<"Data"> | null>(null);
export const days = signal<Schema<"DayRecord">[]>([]);
export const desk = signal<Desk | null>(null);
/** The account while this page looks on, after what is known of the time before. */
export const equity = signal<Point[]>([]);
/** Profit and loss of the days that are finished. */
export const results = signal<DayResult[]>([]);

function quietly(what: string, work: () => Promise<void>): () => Promise<void> {
  return async () => {
    try {
      await work();
    } catch (error) {
      // The line says itself that it is lost; 409 is a session that has just gone.
      const expected = error instanceof ServerError && (error.status === 0 || error.status === 409);
      if (!expected) log("error", `${what} cannot be read: ${String(error)}`);
    }
  };
}

const readData = new Calm(quietly("the watch list", async () => {
  const known = plan.value;
  const names = shownSymbols.value.filter((name) => known?.symbols.includes(name));
  if (known === null || names.length === 0 || names.some((name) => name.includes(","))) return;
  const found = await get("/api/v1/session/data", { query: { symbols: names.join(",") } });
  if (plan.value === known) data.value = found;
}), 1000);

const readDays = new Calm(quietly("the days", async () => {
  const known = plan.value;
  if (known === null) return;
  const large = known.symbols.length * known.days.length > MOST_RECORDS;
  if (large && state.value === "RUNNING") return;
  const found = await get("/api/v1/session/days");
  if (plan.value === known) days.value = found.days;
}), 5000);

const readDesk = new Calm(quietly("the account", async () => {
  const known = plan.value;
  if (known === null || !trades.value) return;
  const query = { limit: LIMIT };
  const [account, { positions }, { orders }, { fills }, { signals }] = await Promise.all([
    get("/api/v1/session/account"),
    get("/api/v1/session/positions", { query: { which: "all" } }),
    get("/api/v1/session/orders", { query }),
    get("/api/v1/session/fills", { query }),
    get("/api/v1/session/signals", { query }),
  ]);
  if (plan.value !== known || account.epoch !== session.value?.epoch) return;
  desk.value = { account, positions, orders, fills, signals };
  addPoint({ ms: Date.parse(account.time), equity: account.equity });
}), 1000);

function addPoint(point: Point): void {
  const before = equity.value;
  if (before.length && before[before.length - 1]!.ms >= point.ms) return;
  equity.value = [...(before.length < KEPT_POINTS ? before : before.filter((_, n) => n % 2 === 0)), point];
}

/** The time before this page was opened: as the run has left it, else from fills and closes. */
const readPast = new Calm(quietly("the equity", async () => {
  const known = plan.value;
  if (known === null || !trades.value) return;
  const found = (await curveOfRun()) ?? (await closesOfDays());
  if (plan.value !== known) return;
  const last = found.points.at(-1)?.ms ?? 0;
  const first = equity.value[0]?.ms ?? Infinity;
  const past = found.points.filter((point) => point.ms < first);
  equity.value = last >= (equity.value.at(-1)?.ms ?? 0) ? found.points : [...past, ...equity.value];
  results.value = found.results;
}), 1000);

type Past = { points: Point[]; results: DayResult[] };

/** Null until the run has ended: it writes its curve last. */
async function curveOfRun(): Promise<Past | null> {
  const run = session.value?.run;
  if (run == null || live.value) return null;
  const found = await get("/api/v1/runs/{id}/equity", { path: { id: run }, query: { points: 2000 } });
  const points = found.times.map((text, n) => ({ ms: Date.parse(text), equity: found.equity[n]! }));
  return found.rows ? { points, results: found.days } : null;
}

async function closesOfDays(): Promise<Past> {
  const [{ days: records }, { fills }, account] = await Promise.all([
    get("/api/v1/session/days"),
    get("/api/v1/session/fills", { query: { limit: MOST_FILLS } }),
    get("/api/v1/session/account"),
  ]);
  const whole = fills.length < MOST_FILLS; // else the oldest are missing, and all would be wrong
  const today = session.value?.trading_day ?? "";
  return whole ? dayCloses(records, fills, account.initial_cash, today) : { points: [], results: [] };
}

function forget(): void {
  data.value = null;
  days.value = [];
  desk.value = null;
  equity.value = [];
  results.value = [];
}

/** Read what a slice may have changed. */
export function refresh(): void {
  readData.ask();
  readDesk.ask();
}

changes.on((change) => {
  if (change === "session" || change === "epoch") {
    forget();
  }
  if (change !== "speed") readPast.ask();
  refresh();
  readDays.ask();
});
batches.on(refresh);
shownSymbols.subscribe(() => readData.ask());
