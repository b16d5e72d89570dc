// Orders from this page: the ticket that is open, and what is sent.

import { signal } from "@preact/signals";
import { post, remove, type Schema } from "../api/http";
import { price } from "../lib/format";
import { refresh } from "./follow";
import { log, tell, tellError } from "./log";

export type Order = Schema<"Order">;
export type Draft = Schema<"OrderStart">;
/** `replaces`: an order that is cancelled first, which is how one is changed. */
export type Ticket = { draft: Partial<Draft>; replaces: Order | null };

export const ticket = signal<Ticket | null>(null);
/** The order of which it is asked why it did or did not fill. */
export const asked = signal<string | null>(null);

const FINAL = new Set(["filled", "cancelled", "expired", "rejected"]);
export const isOpen = (order: Order): boolean => !FINAL.has(order.state);
/** A bracket's parts hang on one another, and strategies look after their own orders. */
export const canChange = (order: Order): boolean =>
  isOpen(order) && order.strategy === "manual" && order.role === "single" &&
  (order.type === "limit" || order.type === "stop" || order.type === "stop_limit");

/** The price at which an order rests, where it has one. */
export const restsAt = (order: Order): number | null => order.limit_price ?? order.stop_price;

export function change(order: Order, at: number | null = null): void {
  const rounded = at === null ? null : Number(at.toFixed(at < 1 ? 4 : 2));
  const limit = order.limit_price;
  const draft: Partial<Draft> = {
    symbol: order.symbol, side: order.side, quantity: order.quantity - order.filled, type: order.type, tif: order.tif,
    reduce_only: order.reduce_only, post_only: order.post_only, tag: order.tag,
    limit_price: limit === null ? null : (rounded ?? limit),
    stop_price: limit === null ? (rounded ?? order.stop_price) : order.stop_price,
  };
  ticket.value = { draft, replaces: order };
}

export async function cancel(id: string): Promise<boolean> {
  try {
    await remove("/api/v1/session/orders/{id}", { path: { id } });
    log("info", `order ${id} was cancelled`);
    return true;
  } catch (error) {
    tellError(`Order ${id} cannot be cancelled`, error);
    return false;
  } finally {
    refresh();
  }
}

/** Null where it was taken, else what is wrong. */
export async function send(draft: Draft, replaces: Order | null): Promise<string | null> {
  if (replaces !== null && !(await cancel(replaces.id))) return `order ${replaces.id} could not be cancelled`;
  try {
    const { order } = await post("/api/v1/session/orders", draft);
    const said = `${order.side} ${order.quantity} ${order.symbol}`;
    if (order.state === "rejected") tell("warning", `Order ${order.id} (${said}) was refused: ${order.reason}`);
    else if (order.average_price !== null) tell("info", `Order ${order.id}: ${said} filled at ${price(order.average_price)}.`);
    else tell("info", `Order ${order.id} (${said}) is ${order.state}.`);
    return null;
  } catch (error) {
    tellError("The order was not taken", error);
    return error instanceof Error ? error.message : String(error);
  } finally {
    refresh();
  }
}
