// The buttons of a tape deck.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import {
  backBar, backDay, changeSpeed, runUntil, setSpeed, SPEEDS, speedText, step, stop, toggle,
} from "../state/commands";
import { live, session, state, trades } from "../state/session";
import { Button } from "./parts";

export function Transport(): JSX.Element {
  const running = state.value === "RUNNING";
  const movable = running || state.value === "PAUSED";
  const back = movable || state.value === "COMPLETED";
  return (
    <div class="transport" role="group" aria-label="Transport">
      <Button label="Back to the day's open" icon="rewind" keys="Shift+ArrowLeft" disabled={!back} onClick={backDay} />
      <Button label="Back one bar" icon="back" keys="ArrowLeft" disabled={!back} onClick={backBar} />
      <Button
        label={running ? "Pause" : "Play"} icon={running ? "pause" : "play"} keys="Space" kind="main"
        disabled={!movable} onClick={toggle}
      />
      <Button label="Step one slice" text="slice" icon="slice" keys="." disabled={!movable} onClick={() => step("slice")} />
      <Button label="Step one bar" text="bar" icon="bar" keys="ArrowRight" disabled={!movable} onClick={() => step("bar")} />
      <Button label="Step one day" text="day" icon="day" keys="Shift+ArrowRight" disabled={!movable} onClick={() => step("day")} />
      <Button label="Stop" icon="stop" disabled={!live.value} onClick={stop} />
      <span class="divider" />
      <Speed />
      <RunTo />
    </div>
  );
}

function Speed(): JSX.Element {
  const speed = session.value?.speed ?? null;
  const can = live.value && speed !== null;
  const shown = speed === null || SPEEDS.includes(speed) ? SPEEDS : [speed, ...SPEEDS];
  return (
    <div class="speed">
      <Button label="Slower" icon="minus" keys="-" disabled={!can} onClick={() => changeSpeed(-1)} />
      <select
        aria-label="Speed" value={String(speed ?? 1)} disabled={!can}
        onChange={(event) => setSpeed(Number(event.currentTarget.value))}
      >
        {shown.map((one) => <option value={String(one)}>{speedText(one)}</option>)}
      </select>
      <Button label="Faster" icon="plus" keys="+" disabled={!can} onClick={() => changeSpeed(1)} />
    </div>
  );
}

function RunTo(): JSX.Element {
  const [target, setTarget] = useState<"close" | "gap" | "fill">("close");
  return (
    <div class="speed">
      <select aria-label="Run to" value={target} onChange={(e) => setTarget(e.currentTarget.value as typeof target)}>
        <option value="close">next close</option>
        <option value="gap">next gap</option>
        {trades.value && <option value="fill">next fill</option>}
      </select>
      <Button label="Run to" disabled={!live.value} onClick={() => runUntil(target)} />
    </div>
  );
}
