// Panels of a session that trades: positions, orders, fills, signals, refusals, the account.

import type { JSX } from "preact";
import type { Schema } from "../api/http";
import { arrow, number, price, signed, tone, whole } from "../lib/format";
import { stamp } from "../lib/time";
import { desk } from "../state/follow";
import { plan, trades, zone } from "../state/session";
import { asked, cancel, canChange, change, isOpen, ticket, type Order } from "../state/ticket";
import { Button, Table, type Column } from "./parts";

const NO_ENGINE = "This session only replays. Start one with a configuration to trade.";
const at = (text: string): string => stamp(text, zone.value);

function nothing(text: string): string {
  return plan.value !== null && !trades.value ? NO_ENGINE : text;
}

export function Account(): JSX.Element | null {
  const account = desk.value?.account;
  if (account === undefined) return null;
  const made = account.equity - account.initial_cash;
  return (
    <dl class="account" aria-label="Account">
      <Value name={`Equity, ${account.currency}`} text={number(account.equity)} />
      <Value name="P&L" text={`${arrow(made)} ${signed(made)}`} tone={tone(made)} />
      <Value name="Cash" text={number(account.cash)} />
      <Value name="Exposure, gross" text={number(account.gross_exposure)} />
      <Value name="Exposure, net" text={number(account.net_exposure)} />
      <Value name="Fees" text={number(account.fees)} />
      {account.halts.length > 0 && <Value name="Halted by" text={`! ${account.halts.join(", ")}`} tone="warn" />}
      {account.optimistic && <Value name="Fills" text="! optimistic policy" tone="warn" />}
    </dl>
  );
}

function Value(props: { name: string; text: string; tone?: string }): JSX.Element {
  return (
    <div>
      <dt>{props.name}</dt>
      <dd class={props.tone ?? ""}>{props.text}</dd>
    </div>
  );
}

export function Positions(): JSX.Element {
  type Row = Schema<"Position">;
  const columns: Column<Row>[] = [
    { head: "Symbol", cell: (p) => p.symbol },
    { head: "Strategy", cell: (p) => p.strategy },
    { head: "Quantity", cell: (p) => `${p.quantity > 0 ? "long " : p.quantity < 0 ? "short " : ""}${whole(Math.abs(p.quantity))}`, number: true },
    { head: "Average", cell: (p) => price(p.quantity === 0 ? null : p.average_price), number: true },
    { head: "Mark", cell: (p) => `${price(p.mark)}${p.stale ? " (stale)" : ""}`, number: true },
    { head: "Unrealised", cell: (p) => `${arrow(p.unrealised)} ${signed(p.unrealised)}`, number: true, class: (p) => tone(p.unrealised) },
    { head: "Realised", cell: (p) => `${arrow(p.realised)} ${signed(p.realised)}`, number: true, class: (p) => tone(p.realised) },
    { head: "Fees", cell: (p) => number(p.fees), number: true },
  ];
  return (
    <>
      <Account />
      <Table label="Positions" rows={desk.value?.positions ?? []} id={(p) => `${p.strategy} ${p.symbol}`} columns={columns} empty={nothing("No position yet.")} />
    </>
  );
}

function limits(order: Order): string {
  const parts = [
    order.limit_price !== null && `limit ${price(order.limit_price)}`,
    order.stop_price !== null && `stop ${price(order.stop_price)}`,
    order.trail !== null && `trail ${number(order.trail)}${order.trail_in_bps ? " bps" : ""}`,
  ];
  return parts.filter(Boolean).join(", ");
}

export function Orders(): JSX.Element {
  const rows = (desk.value?.orders ?? []).toReversed().sort((a, b) => Number(isOpen(b)) - Number(isOpen(a)));
  const columns: Column<Order>[] = [
    { head: "Order", cell: (o) => o.id },
    { head: "Side", cell: (o) => `${o.side === "buy" ? "▲" : "▼"} ${o.side}`, class: (o) => (o.side === "buy" ? "up" : "down") },
    { head: "Quantity", cell: (o) => `${whole(o.filled)} / ${whole(o.quantity)}`, number: true },
    { head: "Symbol", cell: (o) => o.symbol },
    { head: "Type", cell: (o) => `${o.type.replaceAll("_", " ")} ${o.tif}${o.role === "single" ? "" : ` (${o.role.replaceAll("_", " ")})`}` },
    { head: "Price", cell: limits, number: true },
    { head: "Average", cell: (o) => price(o.average_price), number: true },
    { head: "State", cell: (o) => `${isOpen(o) ? "● " : ""}${o.state.replaceAll("_", " ")}` },
    { head: "Changed", cell: (o) => at(o.updated) },
    { head: "Actions", cell: (o) => <OrderActions order={o} /> },
  ];
  return (
    <>
      {trades.value && (
        <div class="panel-tools">
          <Button label="New order" kind="small" onClick={() => (ticket.value = { draft: {}, replaces: null })} />
        </div>
      )}
      <Table label="Orders" rows={rows} id={(o) => o.id} columns={columns} empty={nothing("No order yet.")} />
    </>
  );
}

function OrderActions({ order }: { order: Order }): JSX.Element {
  return (
    <span class="actions">
      <Button label={order.state === "filled" ? "Why filled" : "Why not filled"} kind="small" onClick={() => (asked.value = order.id)} />
      {canChange(order) && <Button label="Change" kind="small" onClick={() => change(order)} />}
      {isOpen(order) && <Button label="Cancel" kind="small" onClick={() => cancel(order.id)} />}
    </span>
  );
}

export function Fills(): JSX.Element {
  type Row = Schema<"Fill">;
  const columns: Column<Row>[] = [
    { head: "Time", cell: (f) => at(f.time) },
    { head: "Side", cell: (f) => `${f.side === "buy" ? "▲" : "▼"} ${f.side}`, class: (f) => (f.side === "buy" ? "up" : "down") },
    { head: "Quantity", cell: (f) => whole(f.quantity), number: true },
    { head: "Symbol", cell: (f) => f.symbol },
    { head: "Price", cell: (f) => price(f.price), number: true },
    { head: "Costs", cell: (f) => number(f.commission + f.fees), number: true },
    { head: "Slippage a share", cell: (f) => number(f.slippage, 4), number: true },
    { head: "From", cell: (f) => f.source.replaceAll("_", " ") },
    { head: "Strategy", cell: (f) => f.strategy },
    { head: "Order", cell: (f) => f.order },
    { head: "Flags", cell: (f) => f.flags.join(", ") },
  ];
  return <Table label="Fills" rows={(desk.value?.fills ?? []).toReversed()} id={(f) => f.id} columns={columns} empty={nothing("No fill yet.")} />;
}

const DIRECTIONS: Record<number, string> = { 1: "▲ long", [-1]: "▼ short", 0: "– flat" };

export function Signals(): JSX.Element {
  type Row = Schema<"Signal">;
  const columns: Column<Row>[] = [
    { head: "Time", cell: (s) => at(s.time) },
    { head: "Strategy", cell: (s) => s.strategy },
    { head: "Symbol", cell: (s) => s.symbol },
    { head: "Direction", cell: (s) => DIRECTIONS[s.direction] ?? String(s.direction) },
    { head: "Strength", cell: (s) => number(s.strength), number: true },
    { head: "Became", cell: (s) => s.outcome ?? "nothing yet" },
    { head: "Tag", cell: (s) => s.tag },
  ];
  return <Table label="Signals" rows={(desk.value?.signals ?? []).toReversed()} id={(s) => s.id} columns={columns} empty={nothing("No signal yet.")} />;
}

type Refusal = { id: string; time: string; what: string; symbol: string; code: string; reason: string };

const REFUSAL_CODE = /^[a-z_]+$/; // the id of an order has a number

/** Orders that risk or execution refused, and signals that became none. */
function refusals(): Refusal[] {
  const found = desk.value;
  if (found === null) return [];
  const refused = found.orders
    .filter((order) => order.state === "rejected")
    .map((o): Refusal => ({ id: o.id, time: o.updated, what: `order ${o.id}: ${o.side} ${whole(o.quantity)}`, symbol: o.symbol, code: o.code ?? "", reason: o.reason }));
  const unheard = found.signals
    .filter((s) => s.outcome !== null && REFUSAL_CODE.test(s.outcome))
    .map((s): Refusal => ({ id: s.id, time: s.time, what: `signal ${s.id} of ${s.strategy}`, symbol: s.symbol, code: s.outcome ?? "", reason: "" }));
  return [...refused, ...unheard].sort((a, b) => Date.parse(b.time) - Date.parse(a.time));
}

export function Refusals(): JSX.Element {
  const columns: Column<Refusal>[] = [
    { head: "Time", cell: (r) => at(r.time) },
    { head: "What", cell: (r) => r.what },
    { head: "Symbol", cell: (r) => r.symbol },
    { head: "Code", cell: (r) => r.code },
    { head: "Why", cell: (r) => r.reason, class: () => "sentence" },
  ];
  return <Table label="Refusals" rows={refusals()} id={(r) => r.id} columns={columns} empty={nothing("Nothing was refused.")} />;
}
