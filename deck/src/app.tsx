// The page: what is told at once, the deck itself, charts, panels.

import type { ComponentType, JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { choice, nextTheme } from "./lib/theme";
import { kept, isText } from "./lib/store";
import { help } from "./state/keys";
import { link } from "./state/link";
import { notice } from "./state/log";
import { addPane, focusedSymbol, MOST_PANES, panes } from "./state/panes";
import { ended, live, plan, session, state } from "./state/session";
import { ChartPane } from "./views/ChartPane";
import { Clock, StateLine } from "./views/Clock";
import { Fills, Orders, Positions, Refusals, Signals } from "./views/Desk";
import { Equity, PnlCalendar } from "./views/Equity";
import { Help } from "./views/Help";
import { Login } from "./views/Login";
import { Button, Dialog } from "./views/parts";
import { Quality } from "./views/Quality";
import { Runs } from "./views/Runs";
import { SessionForm } from "./views/SessionForm";
import { Log, Streams } from "./views/Streams";
import { OrderTicket, WhyNot } from "./views/Ticket";
import { Timeline } from "./views/Timeline";
import { Transport } from "./views/Transport";
import { WatchList } from "./views/WatchList";

export function App(): JSX.Element {
  const [forming, setForming] = useState(false);
  if (link.value.state === "login") return <main class="alone"><Login /></main>;
  const found = session.value;
  return (
    <>
      <a class="skip" href="#charts">To the charts</a>
      <Head onNew={() => setForming(true)} />
      <Banners />
      {found === null ? (
        <main class="alone"><p class="empty">Asking the server…</p></main>
      ) : found.id === null ? (
        <main class="alone" id="charts">
          <div class="card first">
            <h2>Play a recorded market</h2>
            <SessionForm onStarted={() => setForming(false)} />
          </div>
          <Panels only={["Runs", "Log"]} />
        </main>
      ) : (
        <main>
          <Timeline />
          <div class="desk">
            <WatchList />
            <Charts />
          </div>
          <Panels />
        </main>
      )}
      <Foot />
      {forming && (
        <Dialog title="New session" onClose={() => setForming(false)} wide>
          <SessionForm onStarted={() => setForming(false)} />
        </Dialog>
      )}
      {help.value && <Help onClose={() => (help.value = false)} />}
      <OrderTicket />
      <WhyNot />
    </>
  );
}

function Head({ onNew }: { onNew: () => void }): JSX.Element {
  const there = session.value?.id != null;
  return (
    <header class={`head ${there ? "" : "short"}`}>
      <h1 class="brand">Tapedeck</h1>
      {there && <Clock />}
      {there && (
        <div class="head-deck">
          <Transport />
          <StateLine />
        </div>
      )}
      <div class="head-tools">
        {there && !live.value && <Button label="New session" kind="main" onClick={onNew} />}
        <Button label={`Theme: ${choice.value}`} icon="theme" onClick={nextTheme} />
        <Button label="Keys" keys="?" onClick={() => (help.value = true)} />
      </div>
    </header>
  );
}

const ENDS: Record<string, string> = {
  FAILED: "✕ The session failed.", COMPLETED: "✓ The session is completed.", STOPPED: "■ The session was stopped.",
};

/** Told at once: the line, how a session ended, what went wrong. */
function Banners(): JSX.Element {
  const said = notice.value;
  return (
    <div class="banners" aria-live="polite">
      {link.value.state === "lost" && (
        <p class="banner error" role="alert">
          <b>✕ No connection to the server.</b> What is shown is what was last heard. Trying again (attempt {link.value.attempt}).
        </p>
      )}
      {ended.value && link.value.state === "open" && (
        <p class={`banner ${state.value === "FAILED" ? "error" : "quiet"}`}>
          <b>{ENDS[state.value] ?? ""}</b>
          <span>{session.value?.error ?? "It stays readable until another one is started."}</span>
        </p>
      )}
      {said !== null && (
        <p class={`banner ${said.level}`} role={said.level === "error" ? "alert" : "status"}>
          <span>{said.level === "error" ? "✕ " : said.level === "warning" ? "! " : ""}{said.text}</span>
          <Button label="Close the notice" icon="close" kind="small" onClick={() => (notice.value = null)} />
        </p>
      )}
    </div>
  );
}

function Charts(): JSX.Element {
  return (
    <div class="charts" id="charts" data-count={panes.value.length}>
      {plan.value === null ? <p class="empty">Loading the session…</p> : panes.value.map((pane) => <ChartPane key={pane.id} pane={pane} />)}
      {plan.value !== null && panes.value.length < MOST_PANES && (
        <Button label="Add a chart" icon="plus" showLabel class="add-chart" onClick={() => addPane(focusedSymbol.value)} />
      )}
    </div>
  );
}

const PANELS: Record<string, ComponentType> = {
  Positions, Orders, Fills, Signals, Refusals, Equity, "P&L": PnlCalendar, Quality, Streams, Runs, Log,
};

const tab = kept("tab", "Positions", isText);

function Panels({ only }: { only?: string[] }): JSX.Element {
  const names = only ?? Object.keys(PANELS);
  const chosen = names.includes(tab.value) ? tab.value : names[0]!;
  const list = useRef<HTMLDivElement>(null);
  const Panel = PANELS[chosen]!;
  const onKeyDown = (event: KeyboardEvent): void => {
    const at = names.indexOf(chosen);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: names.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    tab.value = names[(next + names.length) % names.length]!;
    list.current?.querySelector<HTMLElement>(`[data-tab="${tab.value}"]`)?.focus();
  };
  return (
    <section class="panels card">
      <div ref={list} class="tabs" role="tablist" aria-label="Panels" onKeyDown={onKeyDown}>
        {names.map((name) => (
          <button
            type="button" role="tab" data-tab={name} id={`tab-${name}`} aria-selected={name === chosen}
            aria-controls="panel" tabIndex={name === chosen ? 0 : -1} onClick={() => (tab.value = name)}
          >
            {name}
          </button>
        ))}
      </div>
      <div id="panel" class="panel" role="tabpanel" aria-labelledby={`tab-${chosen}`} tabIndex={0}>
        <Panel key={`${chosen} ${session.value?.id}`} />
      </div>
    </section>
  );
}

function Foot(): JSX.Element {
  return (
    <footer class="foot">
      <a href="docs">API</a>
      <span>
        Charts: <a href="https://www.tradingview.com/" rel="noopener noreferrer" target="_blank">TradingView Lightweight Charts™</a>,
        copyright 2025 TradingView, Inc., Apache License 2.0
      </span>
    </footer>
  );
}
