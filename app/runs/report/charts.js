// The charts, in the colours of the theme or of paper.
const drawAccount = (p) => {
  const { equity, fall } = data.account;
  const x = data.account.x.map(place);
  const text = data.account.x.map(time);
  const line = { shape: "hv", width: 1.6 };
  const hover = (format) => `%{text}<br>%{y:${format}}`;
  const traces = [
    {
      x, y: equity, text, name: "Equity", mode: "lines", line: { ...line, color: p.gain },
      hovertemplate: hover(",.2f"),
    },
    {
      x, y: fall, text, name: "Drawdown", mode: "lines", yaxis: "y2", fill: "tozeroy",
      fillcolor: p.area, line: { ...line, width: 1, color: p.loss }, hovertemplate: hover(".2%"),
    },
  ];
  const other = data.benchmark;
  if (other) {
    traces.splice(1, 0, {
      x: other.x.map(place), y: other.y, text: other.x.map(time), mode: "lines",
      name: plain(other.name) + ", scaled", hovertemplate: hover(",.2f"),
      line: { width: 1.4, dash: "dot", color: p.soft },
    });
  }
  return [traces, layout(p, {
    showlegend: true, hovermode: "closest", hoverdistance: 60,
    xaxis: clock(p, { anchor: "y2" }),
    yaxis: axis(p, { domain: [0.34, 1], tickformat: ",~f" }),
    yaxis2: axis(p, { domain: [0, 0.28], tickformat: "~%" }),
  })];
};

const drawMonths = (p) => {
  const { years, values, totals } = data.months;
  const all = values.flat().filter((v) => v !== null).map(Math.abs);
  const most = Math.max(0.001, ...all);
  const z = values.map((row, i) => [...row, totals[i]]);
  const names = [...MONTHS, "Year"];
  const text = z.map((row) => row.map((v) => (v === null ? "" : number(1)(100 * v))));
  const trace = {
    type: "heatmap", x: z[0]?.map((_, i) => i), y: years, z, text, texttemplate: "%{text}",
    customdata: z.map((row, n) => row.map((_, i) => `${names[i]} ${years[n]}`)),
    zmin: -most, zmax: most, xgap: 2, ygap: 2, showscale: false, hoverongaps: false,
    colorscale: [[0, p.lossCell], [0.5, p.card], [1, p.gainCell]],
    textfont: { color: p.ink, size: narrow() ? 9 : 12 },
    hovertemplate: "%{customdata}: %{z:.2%}<extra></extra>",
  };
  return [[trace], layout(p, {
    height: 60 + 34 * Math.max(1, years.length),
    xaxis: axis(p, {
      side: "top", showgrid: false, fixedrange: true, tickangle: 0, ticks: "", zeroline: false,
      tickvals: names.map((_, i) => i), ticktext: names.map((n) => (narrow() ? n[0] : n)),
    }),
    yaxis: axis(p, {
      type: "category", autorange: "reversed", showgrid: false, fixedrange: true, ticks: "",
    }),
  })];
};

const candleName = ([bars, days]) => {
  if (days > 1) return `Each candle is ${days} trading days.`;
  if (days === 1) return "Each candle is a trading day.";
  return bars > 1 ? `Each candle is ${bars} bars.` : "Each candle is a bar.";
};

const drawPrice = (p) => {
  const of = data.prices[byId("symbol").selectedIndex];
  const { fills } = of;
  const size = fills.x.length > 500 ? 6 : fills.x.length > 150 ? 8 : 12;
  const side = (name, sign, symbol, color) => {
    const mine = fills.q.map((q, i) => i).filter((i) => fills.q[i] * sign > 0);
    return {
      name, mode: "markers", type: "scatter", x: mine.map((i) => place(fills.x[i])),
      y: mine.map((i) => fills.y[i]),
      text: mine.map((i) =>
        `${name} ${amount(Math.abs(fills.q[i]))} at ${price(fills.y[i])}<br>${time(fills.x[i])}` +
        `<br>${plain(of.strategies[fills.s[i]])}`),
      hovertemplate: "%{text}<extra></extra>",
      marker: { symbol, size, color, line: { width: 1, color: p.card } },
    };
  };
  const [open, high, low, close] = of.ohlc;
  const traces = [
    {
      type: "candlestick", name: plain(of.symbol), x: of.x.map(place), open, high, low, close,
      hoverinfo: "text",
      text: of.x.map((x, i) => `${time(x)}<br>open ${price(open[i])}<br>high ${price(high[i])}` +
        `<br>low ${price(low[i])}<br>close ${price(close[i])}`),
      increasing: { line: { color: p.up, width: 1 }, fillcolor: p.card },
      decreasing: { line: { color: p.down, width: 1 }, fillcolor: p.down },
    },
    side("Buy", 1, "triangle-up", p.gain),
    side("Sell", -1, "triangle-down", p.loss),
  ];
  const shown = fills.x.length < of.all_fills
    ? `${number(0)(fills.x.length)} of ${number(0)(of.all_fills)} fills are shown, evenly picked.`
    : `${number(0)(of.all_fills)} fills.`;
  byId("price-note").textContent = `${candleName(of.candle)} ${shown}`;
  const paper = { xref: "x", yref: "paper" };
  return [traces, layout(p, {
    showlegend: true, hovermode: "closest",
    xaxis: clock(p, { rangeslider: { visible: false } }),
    yaxis: axis(p, { tickformat: ",~f" }),
    shapes: of.actions.x.map(place).map((x) => ({
      ...paper, type: "line", x0: x, x1: x, y0: 0, y1: 1, line: { dash: "dot", color: p.soft },
    })),
    annotations: of.actions.x.map(place).map((x, i) => ({
      ...paper, x, y: 1, yanchor: "top", xanchor: "left", showarrow: false,
      text: plain(of.actions.text[i]), font: { color: p.soft },
    })),
  })];
};

const colours = (p, values) => values.map((v) => (v < 0 ? p.loss : p.gain));
const drawAcross = (of) => (p) => [[{
  type: "bar", orientation: "h", x: of.y, y: of.x.map(plain), marker: { color: colours(p, of.y) },
  hovertemplate: "%{y}: %{x:,.2f}<extra></extra>",
}], layout(p, {
  height: Math.max(120, 60 + 24 * of.x.length), bargap: 0.35,
  xaxis: axis(p, { tickformat: ",~f", nticks: 6 }),
  yaxis: axis(p, { type: "category", showgrid: false, ticksuffix: " " }),
})];
const drawUpright = (of, names, type) => (p) => [[{
  type: "bar", x: names, y: of.y, marker: { color: colours(p, of.y) },
  hovertemplate: "%{x}: %{y:,.2f}<extra></extra>",
}], layout(p, {
  bargap: 0.25, xaxis: axis(p, { type, showgrid: false }),
  yaxis: axis(p, { tickformat: ",~f", nticks: 6 }),
})];

const charts = { "chart-account": drawAccount, "chart-months": drawMonths };
if (data.prices.length) charts["chart-price"] = drawPrice;
charts["chart-symbol"] = drawAcross(data.pnl.symbol);
charts["chart-strategy"] = drawAcross(data.pnl.strategy);
const { hour, weekday, day } = data.pnl;
const hours = hour.x.map((h) => String(h).padStart(2, "0") + ":00");
charts["chart-hour"] = drawUpright(hour, hours, "category");
charts["chart-weekday"] = drawUpright(weekday, weekday.x, "category");
charts["chart-day"] = drawUpright(day, day.x, day.x.length > 60 ? "date" : "category");

const zoomed = ["chart-account", "chart-price"];
const options = (id) => ({
  responsive: true, displaylogo: false, showSendToCloud: false, plotlyServerURL: "",
  displayModeBar: !touch && !narrow() && zoomed.includes(id) ? "hover" : false,
  modeBarButtons: [["toImage"], ["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]],
});
const night = window.matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;
const PAPER = 680; // pixels between the margins of a page
let printing = false;
const palette = () => {
  const theme = root.dataset.theme || (night.matches ? "dark" : "light");
  return theme === "dark" && !printing ? dark : light;
};
const draw = (id) => {
  const [traces, where] = charts[id](palette());
  if (where.height) byId(id).style.height = where.height + "px";
  if (printing) where.width = PAPER;
  return Plotly.react(byId(id), traces, where, options(id));
};
const drawAll = () => Promise.all(Object.keys(charts).filter(byId).map(draw));
const refit = () => Object.keys(charts).filter(byId).forEach((id) => Plotly.Plots.resize(byId(id)));

byId("theme").addEventListener("click", () => {
  const next = { undefined: "light", light: "dark", dark: undefined }[root.dataset.theme];
  if (next) root.dataset.theme = next;
  else delete root.dataset.theme;
  byId("theme").textContent = `Theme: ${next || "auto"}`;
  drawAll();
});
night.addEventListener("change", drawAll);
window.addEventListener("beforeprint", () => { printing = true; drawAll(); });
window.addEventListener("afterprint", () => { printing = false; drawAll().then(refit); });
if (byId("symbol")) byId("symbol").addEventListener("change", () => draw("chart-price"));
drawAll();
if (spans) zoomed.filter((id) => charts[id]).forEach(followTicks);
