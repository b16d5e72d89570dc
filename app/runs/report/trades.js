// The table of trades: sorted, filtered, in pages.
const trades = data.trades;
const PAGE = 25;
const table = byId("trades");
const name = (names, codes) => (i) => names[codes[i]];
const column = (values) => (i) => values[i];
const sign = (format, values) => (i) => signed(format)(values[i]);
const state = { key: "number", down: false, page: 0, rows: [] };
const columns = {
  number: { value: (i) => i, text: (i) => String(i + 1) },
  strategy: { value: name(trades.strategies, trades.strategy), plain: true },
  symbol: { value: name(trades.symbols, trades.symbol), plain: true },
  side: { value: column(trades.side), text: (i) => (trades.side[i] > 0 ? "long" : "short"), plain: true },
  quantity: { value: column(trades.quantity), text: (i) => amount(trades.quantity[i]) },
  entry: { value: column(trades.entry), text: (i) => time(trades.entry[i]), plain: true },
  entry_price: { value: column(trades.entry_price), text: (i) => price(trades.entry_price[i]) },
  exit: { value: column(trades.exit), text: (i) => time(trades.exit[i]), plain: true },
  exit_price: { value: column(trades.exit_price), text: (i) => price(trades.exit_price[i]) },
  held: {
    value: (i) => trades.exit[i] - trades.entry[i], text: (i) => held(trades.exit[i] - trades.entry[i]),
  },
  pnl: { value: column(trades.pnl), text: sign(money, trades.pnl), coloured: true },
  share: { value: column(trades.share), text: sign(percent, trades.share), coloured: true },
  costs: { value: column(trades.costs), text: (i) => money(trades.costs[i]) },
  mae: { value: column(trades.mae), text: sign(price, trades.mae) },
  mfe: { value: column(trades.mfe), text: sign(price, trades.mfe) },
};
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
const arrange = () => {
  const { value } = columns[state.key];
  const wanted = byId("filter").value.trim().toLowerCase();
  const fits = (i) => !wanted || columns.symbol.value(i).toLowerCase().includes(wanted) ||
    columns.strategy.value(i).toLowerCase().includes(wanted);
  const turn = state.down ? -1 : 1;
  state.rows = trades.symbol.map((_, i) => i).filter(fits).sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return (x === null) - (y === null) || a - b;
    return turn * compare(x, y) || a - b;
  });
};
const cell = (key, i) => {
  const of = columns[key];
  const td = document.createElement("td");
  const value = of.value(i);
  td.textContent = value === null ? "\u2014" : of.text ? of.text(i) : value;
  td.className = of.plain ? "t" : "n";
  if (of.coloured && value) td.classList.add(value < 0 ? "loss" : "gain");
  return td;
};
const show = () => {
  const last = Math.max(0, Math.ceil(state.rows.length / PAGE) - 1);
  state.page = Math.min(Math.max(0, state.page), last);
  const from = state.page * PAGE;
  const rows = state.rows.slice(from, from + PAGE);
  table.tBodies[0].replaceChildren(...rows.map((i) => {
    const tr = document.createElement("tr");
    tr.append(...Object.keys(columns).map((key) => cell(key, i)));
    return tr;
  }));
  byId("where").textContent = rows.length
    ? `${from + 1} to ${from + rows.length} of ${number(0)(state.rows.length)}` : "none";
  byId("previous").disabled = state.page === 0;
  byId("next").disabled = state.page === last;
  table.querySelectorAll("th").forEach((th) => {
    const mine = th.dataset.key === state.key;
    if (mine) th.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    else th.removeAttribute("aria-sort");
  });
};
const turnTo = (page) => { state.page = page; show(); };
const again = () => { arrange(); turnTo(0); };

if (table) {
  table.tHead.addEventListener("click", (event) => {
    const th = event.target.closest("th");
    if (!th) return;
    state.down = th.dataset.key === state.key && !state.down;
    state.key = th.dataset.key;
    again();
  });
  byId("filter").addEventListener("input", again);
  byId("previous").addEventListener("click", () => turnTo(state.page - 1));
  byId("next").addEventListener("click", () => turnTo(state.page + 1));
  again();
}
