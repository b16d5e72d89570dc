// One WebSocket of the stream; who uses it decides when to open another one.

import type { Frame } from "./frames";

export type Subscription = {
  action: "subscribe";
  channels: string[];
  symbols: string[];
  delivery: "conflate";
  interval_ms: number;
};

export type Handlers = {
  frame: (frame: Frame) => void;
  closed: (code: number, reason: string) => void;
};

export class StreamSocket {
  private socket: WebSocket | null = null;

  constructor(private readonly handlers: Handlers) {}

  open(): void {
    this.close();
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/api/v1/stream`);
    socket.onmessage = (event) => this.handlers.frame(JSON.parse(String(event.data)) as Frame);
    socket.onclose = (event) => {
      this.socket = null;
      this.handlers.closed(event.code, event.reason);
    };
    this.socket = socket;
  }

  subscribe(wish: Subscription): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(wish));
  }

  /** Close without telling the handler. */
  close(): void {
    if (this.socket === null) return;
    this.socket.onclose = this.socket.onmessage = null;
    this.socket.close();
    this.socket = null;
  }
}
