// The order ticket, and the answer to why an order did or did not fill.

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { get, type Schema } from "../api/http";
import { price, whole } from "../lib/format";
import { stamp } from "../lib/time";
import { data } from "../state/follow";
import { tellError } from "../state/log";
import { focusedSymbol } from "../state/panes";
import { plan, zone } from "../state/session";
import { asked, send, ticket, type Draft, type Ticket } from "../state/ticket";
import { Dialog, Field, Table } from "./parts";

const TYPES = ["market", "limit", "stop", "stop_limit", "trailing_stop", "market_on_open", "market_on_close"] as const;
const TIFS = ["day", "gtc", "ioc", "fok"] as const;
const ANSWERS = 100;

type Values = Record<"limit_price" | "stop_price" | "trail" | "take_profit" | "stop_loss", string>;

const text = (value: number | null | undefined): string => (value == null ? "" : String(value));
const value = (given: string): number | null => (given === "" ? null : Number(given));

export function OrderTicket(): JSX.Element | null {
  const open = ticket.value;
  return open === null ? null : <TicketForm key={open.replaces?.id ?? "new"} open={open} />;
}

function TicketForm({ open }: { open: Ticket }): JSX.Element {
  const { draft, replaces } = open;
  const [symbol, setSymbol] = useState(draft.symbol ?? focusedSymbol.value);
  const [side, setSide] = useState<Draft["side"]>(draft.side ?? "buy");
  const [quantity, setQuantity] = useState(String(draft.quantity ?? 100));
  const [type, setType] = useState<NonNullable<Draft["type"]>>(draft.type ?? "market");
  const [tif, setTif] = useState<NonNullable<Draft["tif"]>>(draft.tif ?? "day");
  const [reduceOnly, setReduceOnly] = useState(draft.reduce_only ?? false);
  const [postOnly, setPostOnly] = useState(draft.post_only ?? false);
  const [values, setValues] = useState<Values>({
    limit_price: text(draft.limit_price), stop_price: text(draft.stop_price), trail: text(draft.trail),
    take_profit: "", stop_loss: "",
  });
  const [wrong, setWrong] = useState<string | null>(null);
  const close = (): void => void (ticket.value = null);
  const shown = (name: keyof Values): boolean =>
    name === "limit_price" ? type === "limit" || type === "stop_limit"
    : name === "stop_price" ? type === "stop" || type === "stop_limit"
    : name === "trail" ? type === "trailing_stop"
    : replaces === null;

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const prices = Object.fromEntries(
      (Object.keys(values) as (keyof Values)[]).filter(shown).map((name) => [name, value(values[name])]),
    );
    const order = {
      symbol, side, quantity: Number(quantity), type, tif, reduce_only: reduceOnly,
      post_only: postOnly && type === "limit", tag: draft.tag ?? "", ...prices,
    } as Draft;
    const fault = await send(order, replaces);
    if (fault === null) close();
    else setWrong(fault);
  };
  const priced = (name: keyof Values, label: string, required: boolean, hint = ""): JSX.Element | false =>
    shown(name) && (
      <Field label={label} hint={hint}>
        <input
          type="number" step="any" min="0" required={required} value={values[name]}
          onInput={(event) => setValues({ ...values, [name]: event.currentTarget.value })}
        />
      </Field>
    );
  const summary = data.value?.symbols[symbol];
  return (
    <Dialog title={replaces ? `Change order ${replaces.id}` : "New order"} onClose={close}>
      <form class="ticket" onSubmit={submit}>
        {replaces && <p class="hint">The order is cancelled and another one sent in its place; it loses its turn in the queue.</p>}
        <fieldset class="kinds">
          <legend>Side</legend>
          {(["buy", "sell"] as const).map((name) => (
            <label class="check">
              <input type="radio" name="side" checked={side === name} onChange={() => setSide(name)} />
              {name === "buy" ? "▲ Buy" : "▼ Sell"}
            </label>
          ))}
        </fieldset>
        <div class="fields">
          <Field label="Symbol" hint={`last ${price(summary?.last)}`}>
            <select value={symbol} onChange={(event) => setSymbol(event.currentTarget.value)}>
              {plan.value?.symbols.map((name) => <option value={name}>{name}</option>)}
            </select>
          </Field>
          <Field label="Quantity">
            <input type="number" step="any" min="0" required value={quantity} onInput={(e) => setQuantity(e.currentTarget.value)} />
          </Field>
          <Field label="Type">
            <select value={type} onChange={(event) => setType(event.currentTarget.value as typeof type)}>
              {TYPES.map((name) => <option value={name}>{name.replaceAll("_", " ")}</option>)}
            </select>
          </Field>
          <Field label="In force">
            <select value={tif} onChange={(event) => setTif(event.currentTarget.value as typeof tif)}>
              {TIFS.map((name) => <option value={name}>{name}</option>)}
            </select>
          </Field>
          {priced("limit_price", "Limit", true)}
          {priced("stop_price", "Stop", true)}
          {priced("trail", "Trail", true, "in currency")}
          {priced("take_profit", "Take profit", false, "makes it a bracket")}
          {priced("stop_loss", "Stop loss", false, "makes it a bracket")}
        </div>
        <div class="fields">
          <label class="check">
            <input type="checkbox" checked={reduceOnly} onChange={(e) => setReduceOnly(e.currentTarget.checked)} /> Reduce only
          </label>
          {type === "limit" && (
            <label class="check">
              <input type="checkbox" checked={postOnly} onChange={(e) => setPostOnly(e.currentTarget.checked)} /> Post only
            </label>
          )}
        </div>
        {wrong && <p class="problem" role="alert">{wrong}</p>}
        <button type="submit" class="button main">{replaces ? "Cancel and send" : "Send the order"}</button>
      </form>
    </Dialog>
  );
}

export function WhyNot(): JSX.Element | null {
  return asked.value === null ? null : <Why key={asked.value} id={asked.value} />;
}

const compared = ([name, value]: [string, number]): string =>
  `${name.replaceAll("_", " ")} ${/volume|size|quantity/.test(name) ? whole(value) : price(value)}`;

function Why({ id }: { id: string }): JSX.Element {
  const [found, setFound] = useState<Schema<"Why"> | null>(null);
  const close = (): void => void (asked.value = null);
  useEffect(() => {
    get("/api/v1/session/orders/{id}/why", { path: { id }, query: { limit: ANSWERS } }).then(setFound, (error: unknown) => {
      tellError(`Order ${id} cannot be explained`, error);
      close();
    });
  }, [id]);
  return (
    <Dialog title={`Order ${id}`} onClose={close} wide>
      {found === null ? <p class="empty">Asking…</p> : (
        <>
          <p>
            {found.order.side} {found.order.quantity} {found.order.symbol}, {found.order.type.replaceAll("_", " ")}:{" "}
            <b>{found.order.state.replaceAll("_", " ")}</b>{found.order.reason && `, ${found.order.reason}`}
          </p>
          <Table
            label="What each slice meant for the order" rows={found.slices.toReversed()} id={(slice) => slice.time + slice.code}
            empty="No price has come for it since it was sent."
            columns={[
              { head: "Known at", cell: (slice) => stamp(slice.time, zone.value) },
              { head: "From", cell: (slice) => slice.source.replaceAll("_", " ") },
              { head: "What", cell: (slice) => slice.code.replaceAll("_", " ") },
              { head: "Why", cell: (slice) => slice.reason },
              { head: "Compared", cell: (slice) => Object.entries(slice.prices).map(compared).join(", ") },
            ]}
          />
        </>
      )}
    </Dialog>
  );
}
