// One chart of lightweight-charts: candles and volume, or ticks; markers and lines of orders.

import {
  CandlestickSeries, createChart, createSeriesMarkers, CrosshairMode, HistogramSeries, LineSeries, LineStyle,
  LineType, type AutoscaleInfo, type IChartApi, type IPriceLine, type ISeriesApi, type ISeriesMarkersPluginApi, type SeriesMarker,
  type Time, type UTCTimestamp,
} from "lightweight-charts";
import type { Bar } from "../state/market";
import { colours } from "./theme";
import { clockText, dateText, shortTime } from "./time";

export type Marker = { ms: number; side: "buy" | "sell"; text: string; kind: "fill" | "order" };
export type Level = { id: string; price: number; label: string; tone: "up" | "down" | "muted" | "accent"; drag: boolean };
export type TickPoint = { ms: number; value: number };

const seconds = (ms: number): UTCTimestamp => Math.floor(ms / 1000) as UTCTimestamp;
const GRAB_PX = 7;
const FEWEST = 60; // bars that there is room for, else few would be as wide as a hand
const RIGHT_BARS = 4;
const AXIS_PX = 64; // else a longer price makes all canvases anew
const NEAR = 0.005; // of the price, or as far as all that is shown: an order further away would press it flat

export class CandleChart {
  private readonly chart: IChartApi;
  private candles: ISeriesApi<"Candlestick"> | null = null;
  private volume: ISeriesApi<"Histogram"> | null = null;
  private ticks: Record<"trade" | "bid" | "ask", ISeriesApi<"Line">> | null = null;
  private marks: ISeriesMarkersPluginApi<Time> | null = null;
  private readonly lines = new Map<string, { line: IPriceLine; level: Level }>();
  private levels: Level[] = [];
  private times: number[] = []; // of the points there are, in seconds, in order
  private markers: Marker[] = []; // by time
  private placed = ""; // the markers on the chart, as text
  private points = 0; // of all lines together, when they were loaded
  private zone = "UTC";
  onDrag: (id: string, price: number) => void = () => {};
  onPick: (price: number) => void = () => {};

  constructor(private readonly place: HTMLElement) {
    this.chart = createChart(place, {
      autoSize: true,
      layout: { attributionLogo: false, fontFamily: "system-ui, sans-serif", fontSize: 11 },
      crosshair: { mode: CrosshairMode.Normal },
      timeScale: { timeVisible: true, secondsVisible: false, rightOffset: RIGHT_BARS, minBarSpacing: 0.5 },
    });
    this.listen();
  }

  destroy(): void {
    this.chart.remove();
  }

  /** Colours and zone as they are now. */
  dress(zone: string): void {
    this.zone = zone;
    const c = colours();
    this.chart.applyOptions({
      layout: { background: { color: c.surface }, textColor: c.muted },
      grid: { vertLines: { color: c.line }, horzLines: { color: c.line } },
      rightPriceScale: { borderColor: c.line, minimumWidth: AXIS_PX },
      timeScale: {
        borderColor: c.line,
        tickMarkFormatter: (time: Time, kind: number) => this.tickText(time, kind),
      },
      localization: {
        timeFormatter: (time: Time) => {
          const ms = (time as number) * 1000;
          return `${dateText(ms, zone)} ${clockText(ms, zone)}`;
        },
      },
    });
    // Rising candles are hollow, falling ones filled: it can be told without colour.
    this.candles?.applyOptions({
      upColor: c.surface, downColor: c.down, borderUpColor: c.up, borderDownColor: c.down,
      wickUpColor: c.up, wickDownColor: c.down,
    });
    this.volume?.applyOptions({ color: `${c.muted}55` });
    this.ticks?.trade.applyOptions({ color: c.text });
    this.ticks?.bid.applyOptions({ color: c.up });
    this.ticks?.ask.applyOptions({ color: c.down });
  }

  private tickText(time: Time, kind: number): string {
    const ms = (time as number) * 1000;
    if (kind <= 2) return dateText(ms, this.zone).slice(5); // a year, a month or a day begins
    return kind === 4 ? clockText(ms, this.zone) : shortTime(ms, this.zone);
  }

  // -- what is drawn ---------------------------------------------------------------------

  showBars(bars: Bar[]): void {
    if (this.candles === null) this.makeCandles();
    this.times = bars.map((bar) => seconds(bar.ms));
    this.points = bars.length;
    this.candles!.setData(bars.map((bar) => ({ ...bar, time: seconds(bar.ms) })));
    this.volume!.setData(bars.map((bar) => ({ time: seconds(bar.ms), value: bar.volume })));
    this.placeMarkers();
  }

  /** One at or after the last. */
  updateBar(bar: Bar): void {
    const time = seconds(bar.ms);
    if (this.times.at(-1) !== time) this.addTime(time);
    this.candles?.update({ ...bar, time });
    this.volume?.update({ time, value: bar.volume });
  }

  showTicks(found: Record<"trade" | "bid" | "ask", TickPoint[]>): void {
    if (this.ticks === null) this.makeTicks();
    for (const name of ["trade", "bid", "ask"] as const) {
      this.ticks![name].setData(found[name].map((point) => ({ time: seconds(point.ms), value: point.value })));
    }
    this.times = found.trade.map((point) => seconds(point.ms));
    this.points = new Set(Object.values(found).flat().map((point) => seconds(point.ms))).size;
    this.placeMarkers();
  }

  updateTick(name: "trade" | "bid" | "ask", point: TickPoint): void {
    const time = seconds(point.ms);
    if (name === "trade" && (this.times.at(-1) ?? 0) < time) this.addTime(time);
    this.ticks?.[name].update({ time, value: point.value });
  }

  /** Only markers after the last point may stand elsewhere now. */
  private addTime(time: number): void {
    const newest = this.markers.at(-1);
    const waits = newest !== undefined && seconds(newest.ms) > (this.times.at(-1) ?? 0);
    this.times.push(time);
    if (waits) this.placeMarkers();
  }

  private makeCandles(): void {
    this.clear();
    this.candles = this.chart.addSeries(CandlestickSeries, {
      priceLineVisible: false,
      autoscaleInfoProvider: (original: () => AutoscaleInfo | null) => this.withOrders(original()),
    });
    this.volume = this.chart.addSeries(HistogramSeries, {
      priceFormat: { type: "volume" }, priceScaleId: "volume", lastValueVisible: false, priceLineVisible: false,
    });
    this.chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    this.candles.priceScale().applyOptions({ scaleMargins: { top: 0.08, bottom: 0.2 } });
    this.marks = createSeriesMarkers<Time>(this.candles, []);
    this.chart.timeScale().applyOptions({ secondsVisible: false });
    this.dress(this.zone);
    this.showLevels(this.levels);
  }

  /** The range of prices, so far that resting orders near it are seen. */
  private withOrders(found: AutoscaleInfo | null): AutoscaleInfo | null {
    if (found?.priceRange == null) return found;
    const range = { ...found.priceRange };
    const reach = Math.max(NEAR * range.maxValue, range.maxValue - range.minValue);
    for (const { level } of this.lines.values()) {
      if (level.id === "bid" || level.id === "ask") continue;
      if (level.price > range.maxValue && level.price - range.maxValue <= reach) range.maxValue = level.price;
      if (level.price < range.minValue && range.minValue - level.price <= reach) range.minValue = level.price;
    }
    return { ...found, priceRange: range };
  }

  private makeTicks(): void {
    this.clear();
    const line = (style: LineStyle, width: 1 | 2): ISeriesApi<"Line"> =>
      this.chart.addSeries(LineSeries, {
        lineStyle: style, lineWidth: width, lineType: LineType.WithSteps, priceLineVisible: false,
      });
    this.ticks = { bid: line(LineStyle.Dashed, 1), ask: line(LineStyle.Dotted, 1), trade: line(LineStyle.Solid, 2) };
    this.ticks.bid.applyOptions({ title: "bid" });
    this.ticks.ask.applyOptions({ title: "ask" });
    this.marks = createSeriesMarkers<Time>(this.ticks.trade, []);
    this.chart.timeScale().applyOptions({ secondsVisible: true });
    this.dress(this.zone);
    this.showLevels(this.levels);
  }

  private clear(): void {
    this.lines.clear();
    for (const series of [this.candles, this.volume, ...Object.values(this.ticks ?? {})]) {
      if (series !== null) this.chart.removeSeries(series);
    }
    this.candles = this.volume = this.ticks = this.marks = null;
    this.placed = "";
  }

  private get main(): ISeriesApi<"Candlestick"> | ISeriesApi<"Line"> | null {
    return this.candles ?? this.ticks?.trade ?? null;
  }

  /** Fit what is there, as after it was loaded. */
  fit(most: number): void {
    const rows = this.points;
    const shown = Math.max(FEWEST, Math.min(rows, most));
    this.chart.timeScale().setVisibleLogicalRange({ from: rows - shown, to: rows + RIGHT_BARS });
  }

  /** By time. */
  showMarkers(markers: Marker[]): void {
    this.markers = markers;
    this.placeMarkers();
  }

  private placeMarkers(): void {
    const c = colours();
    const shown: SeriesMarker<Time>[] = [];
    for (const marker of this.markers) {
      const time = this.timeAt(seconds(marker.ms));
      if (time === null) continue;
      const buy = marker.side === "buy";
      shown.push({
        time: time as UTCTimestamp,
        position: buy ? "belowBar" : "aboveBar",
        shape: marker.kind === "order" ? "circle" : buy ? "arrowUp" : "arrowDown",
        color: marker.kind === "order" ? c.accent : buy ? c.up : c.down,
        text: marker.text,
        size: marker.kind === "order" ? 0.5 : 1,
      });
    }
    const text = JSON.stringify(shown);
    if (text === this.placed) return;
    this.placed = text;
    this.marks?.setMarkers(shown);
  }

  /** The last point at or before a time: what was known then stands on it. */
  private timeAt(wanted: number): number | null {
    let low = 0;
    let high = this.times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? null : this.times[low - 1]!;
  }

  showLevels(levels: Level[]): void {
    this.levels = levels;
    const series = this.main;
    if (series === null) return; // they are drawn when there is something to draw them on
    const wanted = new Map(levels.map((level) => [level.id, level]));
    for (const [id, { line }] of this.lines) {
      if (!wanted.has(id)) {
        series.removePriceLine(line);
        this.lines.delete(id);
      }
    }
    const c = colours();
    for (const level of levels) {
      const options = {
        price: level.price, color: c[level.tone], title: level.label, lineWidth: 1 as const,
        lineStyle: level.drag ? LineStyle.Dashed : LineStyle.Dotted, axisLabelVisible: true,
      };
      const known = this.lines.get(level.id);
      if (known === undefined) this.lines.set(level.id, { line: series.createPriceLine(options), level });
      else if (JSON.stringify(known.level) !== JSON.stringify(level)) {
        known.line.applyOptions(options);
        known.level = level;
      }
    }
  }

  // -- the mouse -------------------------------------------------------------------------

  private listen(): void {
    let held: string | null = null;
    const priceAt = (event: PointerEvent): number | null => {
      const y = event.clientY - this.place.getBoundingClientRect().top;
      return this.main?.coordinateToPrice(y) ?? null;
    };
    const near = (event: PointerEvent): string | null => {
      const y = event.clientY - this.place.getBoundingClientRect().top;
      for (const [id, { level }] of this.lines) {
        const at = level.drag ? this.main?.priceToCoordinate(level.price) : null;
        if (at != null && Math.abs(at - y) <= GRAB_PX) return id;
      }
      return null;
    };
    const still = (off: boolean): void => this.chart.applyOptions({ handleScroll: !off, handleScale: !off });
    this.place.addEventListener("pointerdown", (event) => {
      if (event.shiftKey) {
        const price = priceAt(event);
        if (price !== null) this.onPick(price);
        return;
      }
      held = near(event);
      if (held !== null) {
        still(true);
        this.place.setPointerCapture(event.pointerId);
      }
    }, { capture: true });
    this.place.addEventListener("pointermove", (event) => {
      this.place.style.cursor = held !== null || near(event) !== null ? "ns-resize" : "";
      const price = held === null ? null : priceAt(event);
      if (held !== null && price !== null) this.lines.get(held)?.line.applyOptions({ price });
    });
    const drop = (event: PointerEvent): void => {
      if (held === null) return;
      const [id, price] = [held, priceAt(event)];
      held = null;
      still(false);
      const known = this.lines.get(id);
      known?.line.applyOptions({ price: known.level.price }); // until the server has taken it
      if (price !== null && event.type === "pointerup") this.onDrag(id, price);
    };
    this.place.addEventListener("pointerup", drop);
    this.place.addEventListener("pointercancel", drop);
  }
}
