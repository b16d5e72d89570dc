// Keys of the whole page; what has keys of its own keeps them, or lets no event through.

import { signal } from "@preact/signals";
import { backBar, backDay, changeSpeed, step, toggle } from "./commands";
import { live, trades } from "./session";
import { focusedSymbol } from "./panes";
import { asked, ticket } from "./ticket";

export const help = signal(false);

export const KEYS = [
  { keys: ["Space"], text: "Play or pause" },
  { keys: ["→"], text: "Step one bar" },
  { keys: ["Shift", "→"], text: "Step one day" },
  { keys: ["."], text: "Step one slice" },
  { keys: ["←"], text: "Back one bar" },
  { keys: ["Shift", "←"], text: "Back to the day's open" },
  { keys: ["+"], text: "Faster" },
  { keys: ["−"], text: "Slower" },
  { keys: ["O"], text: "New order, in a session that trades" },
  { keys: ["?"], text: "These keys" },
];

const OWN_KEYS = "input, select, textarea, dialog";
const PRESSES = "button, a, summary"; // Space is theirs

function actionOf(event: KeyboardEvent): (() => unknown) | null {
  switch (event.key) {
    case " ":
      return toggle;
    case "ArrowRight":
      return () => step(event.shiftKey ? "day" : "bar");
    case "ArrowLeft":
      return event.shiftKey ? backDay : backBar;
    case ".":
      return () => step("slice");
    case "+":
    case "=":
      return () => changeSpeed(1);
    case "-":
      return () => changeSpeed(-1);
    case "o":
    case "O":
      return trades.value && live.value
        ? () => (ticket.value = { draft: { symbol: focusedSymbol.value }, replaces: null })
        : null;
    case "?":
      return () => (help.value = true);
    default:
      return null;
  }
}

function onKey(event: KeyboardEvent): void {
  const target = event.target instanceof Element ? event.target : document.body;
  if (event.ctrlKey || event.metaKey || event.altKey || target.closest(OWN_KEYS)) return;
  if (ticket.value !== null || asked.value !== null || help.value) return;
  if (event.key === " " && target.closest(PRESSES)) return;
  const action = actionOf(event);
  if (action === null) return;
  event.preventDefault();
  void action();
}

export function listen(): void {
  document.addEventListener("keydown", onKey);
}
