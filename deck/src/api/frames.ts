// What comes over the WebSocket, as docs/streaming.md has it.

import type { Schema } from "./http";

export type Session = Schema<"Session">;
export type Columns = Record<string, unknown[]> & { symbol: string[]; ts: string[] };

export type SlicesFrame = {
  type: "slices";
  epoch: number;
  prev_seq: number;
  seqs: number[];
  times: string[];
} & Record<string, unknown>;
export type StatusFrame = Session & { type: "status"; why: string };
export type Frame =
  | SlicesFrame
  | StatusFrame
  | { type: "hello"; version: number; session: Session }
  | (Schema<"Data"> & { type: "snapshot" })
  | (Session & { type: "end" })
  | { type: "error"; code: string; detail: string };

/** The columns of a channel in a frame, where it has any. */
export function columnsOf(frame: SlicesFrame, channel: string): Columns | null {
  const found = frame[channel];
  return typeof found === "object" && found !== null && "symbol" in found ? (found as Columns) : null;
}
