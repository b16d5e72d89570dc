// Lines over time with what they fell below their highest: one curve, or two to compare.

import {
  AreaSeries, createChart, LineSeries, LineStyle, type IChartApi, type ISeriesApi, type Time, type UTCTimestamp,
} from "lightweight-charts";
import { number } from "./format";
import { colours } from "./theme";
import { clockText, dateText } from "./time";

export type Curve = { name: string; points: { ms: number; value: number; fall: number }[] };
type Row = { time: UTCTimestamp; value: number };

/** One point a second, the last of it; times must rise. */
function rows(points: Curve["points"], pick: (point: Curve["points"][number]) => number): Row[] {
  const found = new Map<number, Row>();
  for (const point of points) {
    const time = Math.floor(point.ms / 1000) as UTCTimestamp;
    found.set(time, { time, value: pick(point) });
  }
  return [...found.values()].sort((a, b) => a.time - b.time);
}

export class CurveChart {
  private readonly chart: IChartApi;
  private readonly values: ISeriesApi<"Line">[] = [];
  private readonly falls: ISeriesApi<"Area">[] = [];
  private fitted = 0;

  constructor(place: HTMLElement) {
    this.chart = createChart(place, {
      autoSize: true,
      layout: { attributionLogo: false, fontFamily: "system-ui, sans-serif", fontSize: 11, panes: { enableResize: false } },
      timeScale: { timeVisible: true, secondsVisible: false },
    });
  }

  destroy(): void {
    this.chart.remove();
  }

  dress(zone: string): void {
    const c = colours();
    this.chart.applyOptions({
      layout: { background: { color: c.surface }, textColor: c.muted, panes: { separatorColor: c.line } },
      grid: { vertLines: { color: c.line }, horzLines: { color: c.line } },
      rightPriceScale: { borderColor: c.line },
      timeScale: {
        borderColor: c.line,
        tickMarkFormatter: (time: Time, kind: number) => {
          const ms = (time as number) * 1000;
          return kind <= 2 ? dateText(ms, zone).slice(5) : clockText(ms, zone).slice(0, 5);
        },
      },
      localization: {
        timeFormatter: (time: Time) => `${dateText((time as number) * 1000, zone)} ${clockText((time as number) * 1000, zone)}`,
      },
    });
    const tones = [c.accent, c.warn];
    this.values.forEach((series, n) => series.applyOptions({ color: tones[n] ?? c.text }));
    this.falls.forEach((series, n) => series.applyOptions({
      lineColor: tones[n] ?? c.text, topColor: "transparent", bottomColor: "transparent",
    }));
  }

  show(curves: Curve[], zone: string): void {
    while (this.values.length > curves.length) {
      this.chart.removeSeries(this.values.pop()!);
      this.chart.removeSeries(this.falls.pop()!);
    }
    while (this.values.length < curves.length) {
      const lineStyle = this.values.length === 0 ? LineStyle.Solid : LineStyle.Dashed;
      this.values.push(this.chart.addSeries(LineSeries, { lineWidth: 2, lineStyle, priceLineVisible: false }));
      this.falls.push(this.chart.addSeries(AreaSeries, {
        lineWidth: 1, lineStyle, priceLineVisible: false,
        // The library's own "percent" takes its precision for steps, and shows -0.28 as -0.1.
        priceFormat: { type: "custom", minMove: 0.01, formatter: (value: number) => `${number(value)} %` },
      }, 1));
      this.chart.panes()[1]?.setStretchFactor(0.4);
      this.dress(zone);
    }
    curves.forEach((curve, n) => {
      this.values[n]!.applyOptions({ title: curve.name });
      this.values[n]!.setData(rows(curve.points, (point) => point.value));
      this.falls[n]!.setData(rows(curve.points, (point) => 100 * point.fall));
    });
    const length = Math.max(0, ...curves.map((curve) => curve.points.length));
    if (length !== this.fitted) this.chart.timeScale().fitContent();
    this.fitted = length;
  }
}

/** With the drawdown of each point. */
export function curveOf(name: string, points: { ms: number; equity: number }[], initial: number): Curve {
  let peak = initial;
  return {
    name,
    points: points.map(({ ms, equity }) => {
      peak = Math.max(peak, equity);
      return { ms, value: equity, fall: peak > 0 ? equity / peak - 1 : 0 };
    }),
  };
}
