// A session from what the catalog has, or from a configuration that trades.

import type { JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { get, post, ServerError, type Schema } from "../api/http";
import { curlOf, pythonOf, type Start } from "../lib/equivalents";
import { SPEEDS, speedText } from "../state/commands";
import { applyNews } from "../state/session";
import { Field } from "./parts";

type Catalog = Schema<"Catalog">;
type Kind = "market" | "config";
type Wish = {
  kind: Kind;
  symbols: string[];
  start: string;
  end: string;
  streams: string[];
  speed: number;
  hours: (typeof HOURS)[number] | null;
  calendar: string;
  history: string;
  intervals: string;
  config: string;
  overrides: string;
  paused: boolean;
  /** Null is what the server does by itself: a configuration leaves a record. */
  record: boolean | null;
};

const DATASETS = ["bars_1m", "trades", "quotes"];
const HOURS = ["regular", "extended", "all"] as const;
const SHOWN_NAMES = 400;
const FIRST: Wish = {
  kind: "market", symbols: [], start: "", end: "", streams: [], speed: 60, hours: null, calendar: "", history: "",
  intervals: "", config: "", overrides: "", paused: true, record: null,
};

const records = (wish: Wish): boolean => wish.record ?? wish.kind === "config";

/** What is sent, and shown as curl and Python: nothing that the server would take by itself. */
function bodyOf(wish: Wish): Record<string, unknown> {
  const common = {
    speed: wish.speed, start_paused: wish.paused,
    ...(records(wish) === (wish.kind === "config") ? {} : { record: records(wish) }),
  };
  if (wish.kind === "config") {
    const set = wish.overrides.split("\n").map((line) => line.trim()).filter(Boolean);
    return { config: wish.config, ...(set.length ? { set } : {}), ...common };
  }
  const { symbols, start, end, streams, hours, calendar, history, intervals } = wish;
  const derived = intervals.split(/[\s,]+/).filter(Boolean).map(Number);
  return {
    symbols, start, end,
    ...(streams.length ? { streams, allow_missing: true } : {}),
    ...(hours ? { hours } : {}),
    ...(calendar ? { calendar } : {}),
    ...(history ? { history_days: Number(history) } : {}),
    ...(derived.length ? { derived_intervals: derived } : {}),
    ...common,
  };
}

/** Whether the server could take it: half a request would only mislead who copies it. */
const isWhole = ({ kind, config, symbols, start, end }: Wish): boolean =>
  kind === "config" ? config !== "" : symbols.length > 0 && start !== "" && end !== "";

type Range = { first: string; last: string };

/** First and last date that the catalog has of a symbol, of any dataset; dates in UTC. */
function rangeOf(datasets: Record<string, Schema<"CatalogEntry">>): Range | null {
  const entries = Object.values(datasets);
  const firsts = entries.flatMap((entry) => (entry.first ? [entry.first.slice(0, 10)] : [])).sort();
  const lasts = entries.flatMap((entry) => (entry.last ? [entry.last.slice(0, 10)] : [])).sort();
  return firsts.length ? { first: firsts[0]!, last: lasts.at(-1)! } : null;
}

/** The dates that all symbols have; where there are none, those that any has. */
function range(catalog: Catalog, symbols: string[]): Range | null {
  const found = symbols.flatMap((name) => rangeOf(catalog.symbols[name] ?? {}) ?? []);
  if (found.length === 0) return null;
  const firsts = found.map((one) => one.first).sort();
  const lasts = found.map((one) => one.last).sort();
  const shared = { first: firsts.at(-1)!, last: lasts[0]! };
  return shared.first <= shared.last ? shared : { first: firsts[0]!, last: lasts.at(-1)! };
}

export function SessionForm({ onStarted }: { onStarted: () => void }): JSX.Element {
  const [catalog, setCatalog] = useState<Catalog | null>(null);
  const [configs, setConfigs] = useState<string[]>([]);
  const [wish, setWish] = useState<Wish>(FIRST);
  const [wrong, setWrong] = useState<string | null>(null);
  const [sending, setSending] = useState(false);
  const change = (more: Partial<Wish>): void => setWish((before) => ({ ...before, ...more }));

  useEffect(() => {
    get("/api/v1/catalog").then(setCatalog, (error: unknown) => setWrong(String(error)));
    get("/api/v1/configs").then(({ configs: names }) => {
      setConfigs(names);
      change({ config: names[0] ?? "" });
    }, (error: unknown) => setWrong(String(error)));
  }, []);

  const choose = (symbols: string[]): void => {
    const found = catalog && range(catalog, symbols);
    change({ symbols, ...(found ? { start: found.first, end: found.last } : {}) });
  };
  const body = bodyOf(wish);
  const send = async (event: Event): Promise<void> => {
    event.preventDefault();
    setSending(true);
    setWrong(null);
    try {
      applyNews(await post("/api/v1/session", body as Start));
      onStarted();
    } catch (error) {
      setWrong(error instanceof ServerError ? error.message : String(error));
    } finally {
      setSending(false);
    }
  };

  return (
    <form class="session-form" aria-label="New session" onSubmit={send}>
      <fieldset class="kinds">
        <legend>What is played</legend>
        <Kind value="market" wish={wish} change={change} text="Market data" />
        <Kind value="config" wish={wish} change={change} text="A configuration that trades" />
      </fieldset>
      {wish.kind === "market" ? (
        <MarketFields catalog={catalog} wish={wish} change={change} choose={choose} />
      ) : (
        <ConfigFields configs={configs} wish={wish} change={change} />
      )}
      <div class="fields">
        <Field label="Speed">
          <select value={String(wish.speed)} onChange={(e) => change({ speed: Number(e.currentTarget.value) })}>
            {SPEEDS.map((speed) => <option value={String(speed)}>{speedText(speed)}</option>)}
          </select>
        </Field>
        <label class="check">
          <input type="checkbox" checked={wish.paused} onChange={(e) => change({ paused: e.currentTarget.checked })} />
          Start paused
        </label>
        <label class="check">
          <input type="checkbox" checked={records(wish)} onChange={(e) => change({ record: e.currentTarget.checked })} />
          Leave the record of a run
        </label>
      </div>
      {wrong && <p class="problem" role="alert">{wrong}</p>}
      <button type="submit" class="button main" disabled={sending}>{sending ? "Starting…" : "Start the session"}</button>
      {isWhole(wish) ? <Equivalents body={body} /> : (
        <p class="hint">With symbols and days chosen, the same for a shell and for Python stands here.</p>
      )}
    </form>
  );
}

type Change = (more: Partial<Wish>) => void;

function Kind(props: { value: Kind; wish: Wish; change: Change; text: string }): JSX.Element {
  return (
    <label class="check">
      <input
        type="radio" name="kind" checked={props.wish.kind === props.value}
        onChange={() => props.change({ kind: props.value, record: null })}
      />
      {props.text}
    </label>
  );
}

function MarketFields(props: { catalog: Catalog | null; wish: Wish; change: Change; choose: (names: string[]) => void }): JSX.Element {
  const { catalog, wish, change, choose } = props;
  if (catalog === null) return <p class="empty">Reading the catalog…</p>;
  const found = range(catalog, wish.symbols.includes("*") ? Object.keys(catalog.symbols) : wish.symbols);
  return (
    <>
      <Symbols catalog={catalog} chosen={wish.symbols} choose={choose} />
      <div class="fields">
        <Field label="First day" hint={found ? `data from ${found.first}` : "a trading date"}>
          <input type="date" required value={wish.start} onInput={(e) => change({ start: e.currentTarget.value })} />
        </Field>
        <Field label="Last day" hint={found ? `data to ${found.last}` : "inside the session"}>
          <input type="date" required value={wish.end} onInput={(e) => change({ end: e.currentTarget.value })} />
        </Field>
      </div>
      <fieldset class="kinds">
        <legend>Streams (none chosen: all there are)</legend>
        {DATASETS.map((name) => (
          <label class="check">
            <input
              type="checkbox" checked={wish.streams.includes(name)}
              onChange={(e) => change({
                streams: DATASETS.filter((one) => (one === name ? e.currentTarget.checked : wish.streams.includes(one))),
              })}
            />
            {name}
          </label>
        ))}
      </fieldset>
      <details>
        <summary>Calendar, hours, intervals, look-back</summary>
        <div class="fields">
          <Field label="Calendar" hint="empty: the server's">
            <input type="text" placeholder="XNYS" value={wish.calendar} onInput={(e) => change({ calendar: e.currentTarget.value.trim() })} />
          </Field>
          <Field label="Hours">
            <select value={wish.hours ?? ""} onChange={(e) => change({ hours: (e.currentTarget.value || null) as Wish["hours"] })}>
              <option value="">the server's</option>
              {HOURS.map((name) => <option value={name}>{name}</option>)}
            </select>
          </Field>
          <Field label="Derived intervals" hint="minutes, such as 5, 15">
            <input
              type="text" inputMode="numeric" pattern="[0-9 ,]*" value={wish.intervals}
              onInput={(e) => change({ intervals: e.currentTarget.value })}
            />
          </Field>
          <Field label="Look-back" hint="trading days">
            <input type="number" min="0" max="250" value={wish.history} onInput={(e) => change({ history: e.currentTarget.value })} />
          </Field>
        </div>
      </details>
    </>
  );
}

function Symbols(props: { catalog: Catalog; chosen: string[]; choose: (names: string[]) => void }): JSX.Element {
  const { catalog, chosen, choose } = props;
  const [filter, setFilter] = useState("");
  const names = useMemo(() => Object.keys(catalog.symbols), [catalog]);
  const wanted = names.filter((name) => name.toLowerCase().includes(filter.toLowerCase()));
  const all = chosen.includes("*");
  const set = (name: string, on: boolean): void =>
    choose(on ? [...chosen.filter((one) => one !== "*"), name].sort() : chosen.filter((one) => one !== name));
  return (
    <fieldset class="symbols">
      <legend>Symbols {all ? "(all)" : `(${chosen.length} chosen of ${names.length})`}</legend>
      <div class="symbols-head">
        <input type="search" aria-label="Find a symbol" placeholder="Find" value={filter} onInput={(e) => setFilter(e.currentTarget.value)} />
        <label class="check">
          <input type="checkbox" checked={all} onChange={(e) => choose(e.currentTarget.checked ? ["*"] : [])} /> All
        </label>
      </div>
      <div class="symbols-list" tabIndex={0} role="group" aria-label="Symbols of the catalog">
        {wanted.slice(0, SHOWN_NAMES).map((name) => (
          <label class="check symbol">
            <input type="checkbox" disabled={all} checked={all || chosen.includes(name)} onChange={(e) => set(name, e.currentTarget.checked)} />
            <span>
              <b>{name}</b>
              <span class="hint">{aboutSymbol(catalog.symbols[name] ?? {})}</span>
            </span>
          </label>
        ))}
        {wanted.length === 0 && <p class="empty">No symbol of the catalog is like that.</p>}
        {wanted.length > SHOWN_NAMES && <p class="empty">{wanted.length - SHOWN_NAMES} more: type to find them.</p>}
      </div>
    </fieldset>
  );
}

function aboutSymbol(datasets: Record<string, Schema<"CatalogEntry">>): string {
  const parts = Object.entries(datasets).map(([name, entry]) => `${name.replace("_1m", "")} ${entry.days} d`);
  const first = Object.values(datasets).flatMap((entry) => (entry.first ? [entry.first.slice(0, 10)] : [])).sort()[0];
  return `${parts.join(", ")}${first ? `, from ${first}` : ""}`;
}

function ConfigFields(props: { configs: string[]; wish: Wish; change: Change }): JSX.Element {
  const { configs, wish, change } = props;
  if (configs.length === 0) {
    return <p class="empty">The server has no folder of configurations; TAPEDECK_CONFIGS_DIR names one.</p>;
  }
  return (
    <div class="fields">
      <Field label="Configuration">
        <select required value={wish.config} onChange={(e) => change({ config: e.currentTarget.value })}>
          {configs.map((name) => <option value={name}>{name}</option>)}
        </select>
      </Field>
      <Field label="Other values" hint="key.path=value, one a line">
        <textarea rows={2} value={wish.overrides} onInput={(e) => change({ overrides: e.currentTarget.value })} />
      </Field>
    </div>
  );
}

function Equivalents({ body }: { body: Record<string, unknown> }): JSX.Element {
  return (
    <details class="equivalents" open>
      <summary>The same from a shell, and from Python</summary>
      <pre tabIndex={0} aria-label="With curl"><code>{curlOf(body)}</code></pre>
      <pre tabIndex={0} aria-label="With Python"><code>{pythonOf(body)}</code></pre>
    </details>
  );
}
