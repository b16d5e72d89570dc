// What is read and waits, stream by stream; and what the page saw and did.

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { get, type Schema } from "../api/http";
import { whole } from "../lib/format";
import { stamp } from "../lib/time";
import { entries, type Entry } from "../state/log";
import { session, zone } from "../state/session";
import { Table } from "./parts";

type Row = Schema<"StreamInfo">;

const PAUSE_MS = 1000;

export function Streams(): JSX.Element {
  const [rows, setRows] = useState<Row[]>([]);
  useEffect(() => {
    let timer = 0;
    let last = "";
    const read = async (): Promise<void> => {
      const found = session.value;
      const mark = `${found?.id} ${found?.epoch} ${found?.seq} ${found?.state}`;
      if (mark !== last && found?.id != null && !document.hidden) {
        try {
          setRows((await get("/api/v1/streams")).streams);
          last = mark;
        } catch {
          setRows([]); // the banner says why
        }
      }
      timer = window.setTimeout(() => void read(), PAUSE_MS);
    };
    void read();
    return () => window.clearTimeout(timer);
  }, []);
  const most = Math.max(1, ...rows.map((row) => row.queued));
  const time = (text: string | null): string => (text === null ? "–" : stamp(text, zone.value));
  return (
    <Table
      label="Streams and queues" rows={rows} id={(row) => `${row.symbol} ${row.stream}`} empty="No session."
      columns={[
        { head: "Symbol", cell: (row) => row.symbol },
        { head: "Stream", cell: (row) => row.stream },
        { head: "Delivered", cell: (row) => whole(row.delivered), number: true },
        { head: "Queued", cell: (row) => whole(row.queued), number: true },
        { head: "Queue", cell: (row) => <meter min={0} max={most} value={row.queued} aria-label={`Queue of ${row.symbol} ${row.stream}`} /> },
        { head: "Oldest queued", cell: (row) => time(row.oldest) },
        { head: "Newest queued", cell: (row) => time(row.newest) },
        { head: "Complete through", cell: (row) => (row.ended ? "ended" : time(row.complete_through)) },
      ]}
    />
  );
}

const SIGNS: Record<Entry["level"], string> = { info: "info", warning: "! warning", error: "✕ error" };

export function Log(): JSX.Element {
  return (
    <Table
      label="Log" rows={entries.value} id={(entry) => String(entry.id)} empty="Nothing yet."
      columns={[
        { head: "Wall clock", cell: (entry) => entry.wall.toLocaleTimeString("en-GB") },
        { head: "Level", cell: (entry) => SIGNS[entry.level], class: (entry) => (entry.level === "info" ? "" : entry.level === "error" ? "down" : "warn") },
        { head: "What", cell: (entry) => entry.text },
      ]}
    />
  );
}
