// The runs of the store: list, start, stop, read the report, compare two.

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { get, post, remove, type Schema } from "../api/http";
import type { Curve } from "../lib/curves";
import { NONE, number, whole } from "../lib/format";
import { statisticText } from "../lib/statistics";
import { tell, tellError } from "../state/log";
import { Calendar, CurveView } from "./Equity";
import { Button, Table } from "./parts";

type Run = Schema<"Run">;
type Compared = { run: Schema<"RunDetail">; curve: Schema<"EquityCurve"> };

const LISTED = 100;
const PAUSE_MS = 2000;
const BUSY = new Set(["queued", "running"]);
const MARKS: Record<string, string> = {
  queued: "… ", running: "▶ ", completed: "✓ ", stopped: "■ ", failed: "✕ ", interrupted: "! ", broken: "! ",
};

const runs = signal<Run[] | null>(null);
const chosen = signal<string[]>([]);

async function read(): Promise<void> {
  try {
    runs.value = (await get("/api/v1/runs", { query: { limit: LISTED } })).runs;
  } catch (error) {
    if (runs.value === null) {
      runs.value = [];
      tellError("The runs cannot be listed", error);
    }
  }
}

export function Runs(): JSX.Element {
  useEffect(() => {
    let timer = 0;
    const follow = async (): Promise<void> => {
      const busy = runs.value === null || runs.value.some((run) => BUSY.has(run.state));
      if (busy && !document.hidden) await read();
      timer = window.setTimeout(() => void follow(), PAUSE_MS);
    };
    void read();
    void follow();
    return () => window.clearTimeout(timer);
  }, []);
  const choose = (id: string, on: boolean): void => {
    const others = chosen.value.filter((one) => one !== id);
    chosen.value = on ? [...others, id].slice(-2) : others;
  };
  if (runs.value === null) return <p class="empty">Reading the runs…</p>;
  return (
    <>
      <StartRun />
      <Table
        label="Runs" rows={runs.value} id={(run) => run.id} empty="No run yet."
        columns={[
          { head: "Run", cell: (run) => run.id },
          { head: "State", cell: (run) => `${MARKS[run.state] ?? ""}${run.state}`, class: (run) => (run.state === "failed" ? "down" : "") },
          { head: "Started", cell: (run) => (run.started ? run.started.slice(0, 19).replace("T", " ") : "–") },
          { head: "Took", cell: took, number: true },
          { head: "Events", cell: (run) => whole(run.events), number: true },
          {
            head: "Compare",
            cell: (run) => (
              left(run) && <input
                type="checkbox" aria-label={`Compare ${run.id}`} checked={chosen.value.includes(run.id)}
                onChange={(event) => choose(run.id, event.currentTarget.checked)}
              />
            ),
          },
          { head: "Actions", cell: (run) => <RunActions run={run} /> },
          { head: "Cause", cell: (run) => run.cause ?? "", class: () => "sentence" },
        ]}
      />
      {chosen.value.length > 0 && <Compare key={chosen.value.map(stateOf).join(" ")} ids={chosen.value} />}
    </>
  );
}

/** A run and its state: what has ended since is read again. */
const stateOf = (id: string): string => `${id} ${runs.value?.find((run) => run.id === id)?.state}`;

function took(run: Run): string {
  if (run.started === null || run.finished === null) return "–";
  return `${number((Date.parse(run.finished) - Date.parse(run.started)) / 1000, 1)} s`;
}

/** Whether it traded and left its events: a replay and a broken run have neither report nor equity. */
const left = (run: Run): boolean => BUSY.has(run.state) || run.events_digest !== null;

function RunActions({ run }: { run: Run }): JSX.Element {
  const end = async (): Promise<void> => {
    try {
      await remove("/api/v1/runs/{id}", { path: { id: run.id } });
    } catch (error) {
      tellError(`Run ${run.id} cannot be stopped`, error);
    }
    await read();
  };
  const resume = async (): Promise<void> => {
    try {
      await post("/api/v1/runs/{id}/resume", undefined, { path: { id: run.id } });
    } catch (error) {
      tellError(`Run ${run.id} cannot be resumed`, error);
    }
    await read();
  };
  if (BUSY.has(run.state)) return <Button label="Stop" kind="small" onClick={end} />;
  if (run.state === "interrupted") return <Button label="Resume" kind="small" onClick={resume} />;
  if (!left(run)) return <>–</>;
  return (
    <a class="button small" href={`/api/v1/runs/${encodeURIComponent(run.id)}/report`} target="_blank" rel="noopener">
      Report
    </a>
  );
}

function StartRun(): JSX.Element | null {
  const [configs, setConfigs] = useState<string[]>([]);
  const [name, setName] = useState("");
  useEffect(() => {
    get("/api/v1/configs").then(({ configs: found }) => {
      setConfigs(found);
      setName(found[0] ?? "");
    }, (error: unknown) => tellError("The configurations cannot be listed", error));
  }, []);
  const start = async (event: Event): Promise<void> => {
    event.preventDefault();
    try {
      const run = await post("/api/v1/runs", { config: name, set: [] });
      tell("info", `Run ${run.id} is queued.`);
    } catch (error) {
      tellError("The run was not queued", error);
    }
    await read();
  };
  if (configs.length === 0) return null;
  return (
    <form class="panel-tools" onSubmit={start}>
      <select aria-label="Configuration" value={name} onChange={(event) => setName(event.currentTarget.value)}>
        {configs.map((one) => <option value={one}>{one}</option>)}
      </select>
      <button type="submit" class="button small">Run it</button>
    </form>
  );
}

/** Equity as a return, so that runs of different cash can be laid over one another. */
function curveOf({ run, curve }: Compared): Curve {
  return {
    name: run.name,
    points: curve.times.map((time, n) => ({
      ms: Date.parse(time), value: 100 * (curve.equity[n]! / curve.initial_cash - 1), fall: curve.drawdown[n]!,
    })),
  };
}

function Compare({ ids }: { ids: string[] }): JSX.Element {
  const [found, setFound] = useState<Compared[] | null>(null);
  useEffect(() => {
    const one = async (id: string): Promise<Compared> => ({
      run: await get("/api/v1/runs/{id}", { path: { id } }),
      curve: await get("/api/v1/runs/{id}/equity", { path: { id }, query: { points: 2000 } }),
    });
    Promise.all(ids.map(one)).then(setFound, (error: unknown) => tellError("The runs cannot be compared", error));
  }, []);
  if (found === null) return <p class="empty">Reading…</p>;
  return (
    <section aria-label="Comparison">
      <CurveView label={`Return in per cent of ${found.map(({ run }) => run.id).join(" and ")}, and the drawdown below`} curves={() => found.map(curveOf)} />
      <Statistics found={found} />
      {found.length === 1 && <Calendar results={found[0]!.curve.days} />}
    </section>
  );
}

function Statistics({ found }: { found: Compared[] }): JSX.Element {
  const all = found.map(({ run }) => statisticsOf(run));
  const names = [...new Set(all.flatMap((one) => Object.keys(one)))];
  const rows = names
    .map((name) => ({ name, values: all.map((one) => statisticText(name, one[name])) }))
    .filter((row) => row.values.some((value) => value !== NONE));
  return (
    <Table
      label="Numbers of the runs" rows={rows} id={(row) => row.name} empty="These runs have no numbers yet."
      columns={[
        { head: "Number", cell: (row) => row.name.replaceAll("_", " ") },
        ...found.map(({ run }, n) => ({
          head: `${n === 0 ? "— " : "- - "}${run.id}`, cell: (row: (typeof rows)[number]) => row.values[n], number: true,
        })),
      ]}
    />
  );
}

function statisticsOf(run: Schema<"RunDetail">): Record<string, unknown> {
  const statistics = run.summary?.statistics;
  return typeof statistics === "object" && statistics !== null ? (statistics as Record<string, unknown>) : {};
}
