// Symbols with last price, change, volume and quality.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { arrow, number, percent, price, short, tone } from "../lib/format";
import { data } from "../state/follow";
import { markOf } from "../state/market";
import { focusedSymbol, showSymbol, watch, watched } from "../state/panes";
import { plan } from "../state/session";
import { Button } from "./parts";

export function WatchList(): JSX.Element {
  const others = plan.value?.symbols.filter((name) => !watched.value.includes(name)) ?? [];
  return (
    <section class="watch card" aria-label="Watch list">
      <table>
        <caption class="hidden">Watch list</caption>
        <thead>
          <tr>
            <th scope="col">Symbol</th>
            <th scope="col" class="number">Last</th>
            <th scope="col" class="number">Change</th>
            <th scope="col" class="number">Volume</th>
            <th scope="col" class="number"><abbr title="Minutes received of those expected">Quality</abbr></th>
            <th scope="col"><span class="hidden">Remove</span></th>
          </tr>
        </thead>
        <tbody>
          {watched.value.map((symbol) => <Row key={symbol} symbol={symbol} />)}
        </tbody>
      </table>
      {others.length > 0 && <AddSymbol names={others} />}
    </section>
  );
}

function Row({ symbol }: { symbol: string }): JSX.Element {
  const summary = data.value?.symbols[symbol];
  const last = markOf(symbol).value.last ?? summary?.last ?? null;
  const before = summary?.prev_close ?? summary?.open ?? null;
  const change = last === null || before === null || before === 0 ? null : last / before - 1;
  const quality = summary?.quality ?? null;
  const shown = focusedSymbol.value === symbol;
  return (
    <tr class={shown ? "current" : ""}>
      <th scope="row">
        <button type="button" class="link" aria-current={shown} onClick={() => showSymbol(symbol)}>{symbol}</button>
      </th>
      <td class="number">{price(last)}</td>
      <td class={`number ${tone(change)}`}>{arrow(change)} {percent(change)}</td>
      <td class="number">{short(summary?.volume)}</td>
      <td class={`number ${quality !== null && quality < 99.95 ? "warn" : ""}`}>
        {quality === null ? number(null) : `${quality < 99.95 ? "! " : ""}${number(quality, 1)} %`}
      </td>
      <td><Button label={`Remove ${symbol} from the watch list`} icon="close" kind="small" class="quiet" onClick={() => watch(symbol, false)} /></td>
    </tr>
  );
}

function AddSymbol({ names }: { names: string[] }): JSX.Element {
  const [text, setText] = useState("");
  const add = (name: string): void => {
    setText(name);
    if (names.includes(name)) {
      watch(name, true);
      setText("");
    }
  };
  return (
    <div class="watch-add">
      <input
        type="text" list="watch-names" aria-label="Add a symbol to the watch list" placeholder="Add a symbol"
        value={text} onInput={(event) => add(event.currentTarget.value)}
      />
      <datalist id="watch-names">{names.map((name) => <option value={name} />)}</datalist>
    </div>
  );
}
