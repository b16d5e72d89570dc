// Colours, axes and layout that all charts share.
const light = {
  ink: "#15181d", soft: "#545c67", line: "#e3e6ea", card: "#ffffff", gain: "#0a5ca8",
  loss: "#a93c0c", area: "rgba(169,60,12,0.18)", up: "#7d8794", down: "#3b424c",
  gainCell: "#8bb8e8", lossCell: "#eda27f",
};
const dark = {
  ink: "#e9ebee", soft: "#a7afba", line: "#2b323a", card: "#181c22", gain: "#6db3ff",
  loss: "#ffa06b", area: "rgba(255,160,107,0.2)", up: "#8f99a6", down: "#c9d0d8",
  gainCell: "#1c538c", lossCell: "#8a4420",
};
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const narrow = () => window.innerWidth < 640;
const touch = window.matchMedia("(pointer: coarse)").matches;

const axis = (p, more) => ({
  gridcolor: p.line, linecolor: p.line, zerolinecolor: p.soft, automargin: true, ...more,
});

// Short runs are drawn in trading time, without nights: each span of one date follows the last.
const spans = data.spans;
const starts = [];
if (spans) spans.reduce((sum, [from, to]) => (starts.push(sum), sum + to - from), 0);
const total = spans ? starts.at(-1) + spans.at(-1)[1] - spans.at(-1)[0] : 0;
const place = (ms) => {
  if (!spans) return ms;
  const i = Math.max(0, spans.findLastIndex(([from]) => from <= ms));
  return starts[i] + Math.max(0, Math.min(ms, spans[i][1]) - spans[i][0]);
};

const HOUR = 3600000;
const dayName = (ms) => {
  const day = new Date(ms);
  return `${MONTHS[day.getUTCMonth()]} ${day.getUTCDate()}`;
};
const hourMarks = ([from, to], step) => {
  const marks = [];
  for (let ms = Math.ceil(from / step) * step; ms < to; ms += step) {
    if (ms - from > step / 2) marks.push([place(ms), time(ms).slice(11, 16)]);
  }
  return marks;
};
const ticks = (low, high) => {
  const most = narrow() ? 4 : 9;
  const seen = spans.filter((span, i) => starts[i] < high && starts[i] + span[1] - span[0] > low);
  const every = Math.ceil(seen.length / most);
  const marks = seen.filter((_, i) => i % every === 0).map(([from]) => [place(from), dayName(from)]);
  const wide = (high - low) / (most + 1);
  const step = [HOUR / 12, HOUR / 4, HOUR / 2, HOUR, 2 * HOUR].find((s) => s > wide);
  if (step) seen.forEach((span) => marks.push(...hourMarks(span, step)));
  return { tickvals: marks.map(([x]) => x), ticktext: marks.map(([, text]) => text) };
};

const clock = (p, more) => axis(p, {
  zeroline: false,
  ...(spans ? { type: "linear", tickmode: "array", ...ticks(0, total) } : { type: "date" }), ...more,
});
const followTicks = (id) => byId(id).on("plotly_relayout", (change) => {
  if (!("xaxis.range[0]" in change || "xaxis.autorange" in change)) return;
  const { tickvals, ticktext } = ticks(...byId(id)._fullLayout.xaxis.range);
  Plotly.relayout(byId(id), { "xaxis.tickvals": tickvals, "xaxis.ticktext": ticktext });
});

const layout = (p, more) => ({
  paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
  font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: p.ink },
  margin: { l: 8, r: 8, t: 8, b: 8 }, dragmode: touch ? false : "zoom",
  hoverlabel: { bgcolor: p.card, bordercolor: p.line, font: { color: p.ink } },
  legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
  modebar: { bgcolor: "rgba(0,0,0,0)", color: p.soft, activecolor: p.gain }, ...more,
});
