// Symbols with last price, change, volume and quality.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useComputed } from "@preact/signals";
import { arrow, number, percent, price, short, tone } from "../lib/format";
import { data } from "../state/follow";
import { markOf } from "../state/market";
import { focusedSymbol, showSymbol, watch, watched } from "../state/panes";
import { plan } from "../state/session";
import { Button } from "./parts";

const WHOLE = 99.95; // per cent; what is less is not shown as 100.0

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

/** Made once: its figures are signals, which write their own text and class where that has changed. */
function Row({ symbol }: { symbol: string }): JSX.Element {
  const summary = useComputed(() => data.value?.symbols[symbol]);
  const last = useComputed(() => markOf(symbol).value.last ?? summary.value?.last ?? null);
  const change = useComputed(() => {
    const before = summary.value?.prev_close ?? summary.value?.open ?? null;
    return last.value === null || before === null || before === 0 ? null : last.value / before - 1;
  });
  const lastText = useComputed(() => price(last.value));
  const changeText = useComputed(() => `${arrow(change.value)} ${percent(change.value)}`);
  const changeClass = useComputed(() => `figure ${tone(change.value)}`);
  const volume = useComputed(() => short(summary.value?.volume));
  const low = useComputed(() => (summary.value?.quality ?? 100) < WHOLE);
  const quality = useComputed(() => {
    const found = summary.value?.quality ?? null;
    return found === null ? number(null) : `${low.value ? "! " : ""}${number(found, 1)} %`;
  });
  const qualityClass = useComputed(() => `number ${low.value ? "warn" : ""}`);
  const shown = useComputed(() => focusedSymbol.value === symbol);
  return (
    <tr class={shown.value ? "current" : ""}>
      <th scope="row">
        <button type="button" class="link" aria-current={shown.value} onClick={() => showSymbol(symbol)}>{symbol}</button>
      </th>
      <td class="number"><div class="figure price">{lastText}</div></td>
      <td class="number"><div class={changeClass}>{changeText}</div></td>
      <td class="number">{volume}</td>
      <td class={qualityClass}>{quality}</td>
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
