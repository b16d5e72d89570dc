// The keys, and whose charts these are.

import type { JSX } from "preact";
import { KEYS } from "../state/keys";
import { Dialog } from "./parts";

export function Help({ onClose }: { onClose: () => void }): JSX.Element {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <table class="keys">
        <caption class="hidden">Keys</caption>
        <tbody>
          {KEYS.map(({ keys, text }) => (
            <tr>
              <th scope="row">{keys.map((key) => <kbd>{key}</kbd>)}</th>
              <td>{text}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="hint">
        On the timeline the arrows move by minutes, Page Up and Page Down by days. On a chart, Shift and a click open an
        order at that price; a dashed line is an order that can be dragged.
      </p>
    </Dialog>
  );
}
