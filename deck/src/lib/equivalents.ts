// The same request from a shell and from Python.

import type { Schema } from "../api/http";

export type Start = Schema<"SessionStart">;
type Given = Record<string, unknown>;

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

export function curlOf(body: Given): string {
  return `curl ${location.origin}/api/v1/session \\\n  --json ${quote(JSON.stringify(body))}`;
}

function python(value: unknown): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  return JSON.stringify(value);
}

export function pythonOf(body: Given): string {
  const { symbols, start, end, config, ...others } = body;
  const first =
    config === undefined ? [python(symbols), python(start), python(end)] : [python(config)];
  const named = Object.entries(others).map(([name, value]) => `${name}=${python(value)}`);
  return [
    "from app.client import Tapedeck",
    "",
    `with Tapedeck(${JSON.stringify(location.origin)}) as deck:`,
    `    deck.${config === undefined ? "start" : "start_trading"}(${[...first, ...named].join(", ")})`,
  ].join("\n");
}
