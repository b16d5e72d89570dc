// The page's data, and numbers and times as people read them.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

// Plotly reads < and & as markup.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;");
const MINUS = "\u2212";
const number = (digits, least = digits) => {
  const format = new Intl.NumberFormat("en-US", {
    minimumFractionDigits: least, maximumFractionDigits: digits,
  });
  return (value) => format.format(value).replace(/^-(?=[0.]*$)/, "").replace("-", MINUS);
};
const money = number(2);
const price = number(4, 2);
const amount = number(8, 0);
const percent = (value) => money(100 * value) + " %";
const signed = (format) => (value) => (value > 0 ? "+" : "") + format(value);
const time = (ms) => new Date(ms).toISOString().slice(0, 19).replace("T", " ").replace(/:00$/, "");
const held = (ms) => {
  const minutes = Math.round(ms / 60000);
  if (minutes < 1) return number(3, 0)(ms / 1000) + " s";
  if (minutes < 60) return minutes + " min";
  if (minutes < 1440) return Math.floor(minutes / 60) + " h " + (minutes % 60) + " min";
  return Math.floor(minutes / 1440) + " d " + Math.floor((minutes % 1440) / 60) + " h";
};
