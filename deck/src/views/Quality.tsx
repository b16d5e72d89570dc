// Coverage by symbol and day, and the gaps of what is chosen.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { countText, number, whole } from "../lib/format";
import { msOf, shortTime } from "../lib/time";
import { days } from "../state/follow";
import { session, zone } from "../state/session";

const MOST_SYMBOLS = 100;
const STEPS: [number, string][] = [[100, "full"], [99, "high"], [95, "fair"], [80, "low"]];

const levelOf = (quality: number): string => STEPS.find(([least]) => quality >= least)?.[1] ?? "bad";

export function Quality(): JSX.Element {
  const [chosen, setChosen] = useState<{ day: string; symbol: string } | null>(null);
  const found = days.value;
  if (found.length === 0) return <p class="empty">No day yet.</p>;
  const symbols = [...new Set(found.flatMap((day) => Object.keys(day.symbols)))].sort();
  return (
    <>
      <p class="panel-tools quiet-text">Minutes received, in per cent of those expected; the number of gaps below</p>
      <div class="scroll" role="region" aria-label="Quality by symbol and day" tabIndex={0}>
        <table class="heatmap">
          <caption class="hidden">Quality by symbol and day</caption>
          <thead>
            <tr>
              <th scope="col">Symbol</th>
              {found.map((day) => <th scope="col">{day.day.slice(5)}{day.half_day ? " ½" : ""}</th>)}
            </tr>
          </thead>
          <tbody>
            {symbols.slice(0, MOST_SYMBOLS).map((symbol) => (
              <tr>
                <th scope="row">{symbol}</th>
                {found.map((day) => {
                  const one = day.symbols[symbol];
                  if (one?.quality == null) return <td>–</td>;
                  return (
                    <td class={`heat ${levelOf(one.quality)}`}>
                      <button
                        type="button" class="link" title={`The gaps of ${symbol} on ${day.day}`}
                        onClick={() => setChosen({ day: day.day, symbol })}
                      >
                        {number(one.quality, one.quality === 100 ? 0 : 1)}
                        <span class="heat-gaps">{one.gaps.length ? countText(one.gaps.length, "gap") : "no gap"}</span>
                      </button>
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {chosen && <Gaps {...chosen} />}
      <Discarded />
    </>
  );
}

function Gaps({ day, symbol }: { day: string; symbol: string }): JSX.Element | null {
  const one = days.value.find((record) => record.day === day)?.symbols[symbol];
  if (one === undefined) return null;
  const gap = (g: (typeof one.gaps)[number]): string =>
    `${shortTime(msOf(g.start), zone.value)} to ${shortTime(msOf(g.end), zone.value)} (${g.minutes} min)`;
  return (
    <p class="panel-tools" role="status">
      <b>{symbol} {day}</b>: {whole(one.bars)} of {whole(one.expected)} minutes.{" "}
      {one.gaps.length ? `Gaps: ${one.gaps.map(gap).join(", ")}.` : "No gap."}
      {one.official_close !== null && ` Official close ${number(one.official_close)} (${one.close_source?.replaceAll("_", " ")}).`}
    </p>
  );
}

function Discarded(): JSX.Element | null {
  const found = session.value?.discarded;
  if (found == null) return null;
  const parts = Object.entries(found).filter(([, count]) => count > 0);
  return (
    <p class="panel-tools">
      Not delivered: {parts.length ? parts.map(([why, count]) => `${whole(count)} ${why.replaceAll("_", " ")}`).join(", ") : "nothing"}.
    </p>
  );
}
