// Light or dark: as the machine has it until somebody chooses; and the colours that charts need.

import { computed, effect, signal } from "@preact/signals";
import { isText, kept } from "./store";

type Choice = "auto" | "light" | "dark";
const CHOICES: Choice[] = ["auto", "light", "dark"];
const isChoice = (value: unknown): value is Choice => isText(value) && CHOICES.includes(value as Choice);

export const choice = kept<Choice>("theme", "auto", isChoice);
const query = matchMedia("(prefers-color-scheme: dark)");
const machine = signal(query.matches);
query.addEventListener("change", () => (machine.value = query.matches));

export const dark = computed(() => (choice.value === "auto" ? machine.value : choice.value === "dark"));
effect(() => {
  document.documentElement.dataset.theme = dark.value ? "dark" : "light";
});

export function nextTheme(): void {
  choice.value = CHOICES[(CHOICES.indexOf(choice.value) + 1) % CHOICES.length]!;
}

export type Colours = Record<"text" | "muted" | "line" | "surface" | "up" | "down" | "accent" | "warn", string>;

/** The tokens of styles/tokens.css as they are now; read once a theme, for it makes the browser style the page. */
export const colours = (): Colours => tokens.value;

const tokens = computed((): Colours => {
  document.documentElement.dataset.theme = dark.value ? "dark" : "light";
  const style = getComputedStyle(document.documentElement);
  const read = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    text: read("text"), muted: read("muted"), line: read("line"), surface: read("surface"),
    up: read("up"), down: read("down"), accent: read("accent"), warn: read("warn"),
  };
});
