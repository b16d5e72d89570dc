// Small parts that the views share.

import { cloneElement, type ComponentChildren, type JSX, type VNode } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

const ICONS = {
  play: "M4 2.5v11l9.5-5.5z",
  pause: "M4 2.5h3v11H4zM9.5 2.5h3v11h-3z",
  stop: "M3 3h10v10H3z",
  back: "M12.5 2.5v11L5.5 8zM3 2.5h2v11H3z",
  rewind: "M8 3v10L1.5 8zM14.5 3v10L8 8z",
  slice: "M5 2.5v11l5-5.5zM11.5 2.5h1.5v11h-1.5z",
  bar: "M3.5 2.5v11L10 8zM10.5 2.5h2v11h-2z",
  day: "M1.5 3v10L8 8zM8 3v10l6-5zM14 3h1.2v10H14z",
  plus: "M7 3h2v4h4v2H9v4H7V9H3V7h4z",
  minus: "M3 7h10v2H3z",
  close: "M3.6 2.5 8 6.9l4.4-4.4 1.1 1.1L9.1 8l4.4 4.4-1.1 1.1L8 9.1l-4.4 4.4-1.1-1.1L6.9 8 2.5 3.6z",
  check: "M6.4 12.6 2 8.2l1.4-1.4 3 3L12.6 3.6 14 5z",
  wait: "M2 6.5h3v3H2zM6.5 6.5h3v3h-3zM11 6.5h3v3h-3z",
  theme: "M8 1.5a6.5 6.5 0 1 0 0 13zM8 1.5a6.5 6.5 0 0 1 0 13v-1.4a5.1 5.1 0 0 0 0-10.2z",
} as const;

export type IconName = keyof typeof ICONS;

export function Icon({ name }: { name: IconName }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={ICONS[name]} />
    </svg>
  );
}

type ButtonProps = {
  label: string;
  icon?: IconName;
  keys?: string;
  onClick: () => unknown;
  disabled?: boolean;
  pressed?: boolean;
  kind?: "plain" | "main" | "small" | "danger";
  showLabel?: boolean;
  /** Seen in the label's place; a part of it. */
  text?: string;
  class?: string;
};

/** A button that can be focused even where it can do nothing, so that keys do not get lost. */
export function Button(props: ButtonProps): JSX.Element {
  const { label, icon, keys, onClick, disabled = false, pressed, kind = "plain", showLabel = !icon } = props;
  const extra: Record<string, string | boolean> = {};
  if (pressed !== undefined) extra["aria-pressed"] = pressed;
  if (disabled) extra["aria-disabled"] = "true";
  if (keys) extra["aria-keyshortcuts"] = keys;
  return (
    <button
      type="button"
      class={`button ${kind} ${props.class ?? ""}`}
      aria-label={showLabel ? undefined : label}
      title={keys ? `${label} (${keys})` : label}
      onClick={() => !disabled && onClick()}
      {...extra}
    >
      {icon && <Icon name={icon} />}
      {(showLabel || props.text) && <span>{props.text ?? label}</span>}
    </button>
  );
}

/** A modal window of the browser's own; `onClose` is told however it is closed. */
export function Dialog(props: { title: string; onClose: () => void; wide?: boolean; children: ComponentChildren }): JSX.Element {
  const place = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = place.current!;
    const before = document.activeElement;
    dialog.showModal();
    return () => {
      dialog.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={place}
      class={props.wide ? "dialog wide" : "dialog"}
      aria-labelledby="dialog-title"
      onCancel={(event) => {
        event.preventDefault();
        props.onClose();
      }}
    >
      <header class="dialog-head">
        <h2 id="dialog-title">{props.title}</h2>
        <Button label="Close" icon="close" kind="small" onClick={props.onClose} />
      </header>
      <div class="dialog-body">{props.children}</div>
    </dialog>
  );
}

export type Column<T> = {
  head: string;
  cell: (row: T) => ComponentChildren;
  number?: boolean;
  class?: (row: T) => string;
};

type TableProps<T> = { label: string; rows: T[]; columns: Column<T>[]; id: (row: T) => string; empty: string };

/** A table that scrolls by itself; the first column names the row. */
export function Table<T>({ label, rows, columns, id, empty }: TableProps<T>): JSX.Element {
  if (rows.length === 0) return <p class="empty">{empty}</p>;
  return (
    <div class="scroll" role="region" aria-label={label} tabIndex={0}>
      <table>
        <caption class="hidden">{label}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th scope="col" class={column.number ? "number" : ""}>{column.head}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={id(row)}>
              {columns.map((column, n) => {
                const look = `${column.number ? "number" : ""} ${column.class?.(row) ?? ""}`;
                return n === 0 ? (
                  <th scope="row" class={look}>{column.cell(row)}</th>
                ) : (
                  <td class={look}>{column.cell(row)}</td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** A control under its name; the hint describes it. */
export function Field(props: { label: string; hint?: string; children: VNode<Record<string, unknown>> }): JSX.Element {
  const id = useId();
  const hint = props.hint ? `${id}-hint` : undefined;
  return (
    <div class="field">
      <label class="field-label" for={id}>{props.label}</label>
      {cloneElement(props.children, { id, "aria-describedby": hint })}
      {hint && <span id={hint} class="hint">{props.hint}</span>}
    </div>
  );
}
