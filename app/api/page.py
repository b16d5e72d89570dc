"""``/docs``: a page over ``/openapi.json``, with nothing from elsewhere."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app.api.headers import POLICY, page_policy

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code, pre { font: 13px/1.4 ui-monospace, monospace }
pre { white-space: pre-wrap }
summary { cursor: pointer; padding: .3rem 0 }
details { border-top: 1px solid #ccc }
details > div { padding: 0 0 1rem 1rem }
table { border-collapse: collapse; width: 100%; margin: .3rem 0 1rem }
th, td { border: 1px solid #ccc; padding: .2rem .5rem; text-align: left; vertical-align: top }
h3 { margin: .6rem 0 0; font-size: 1rem }
"""

_SCRIPT = """
"use strict";
const make = (tag, text, ...children) => {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  node.append(...children);
  return node;
};
const table = (heads, rows) => {
  const row = (cells, tag) => make("tr", "", ...cells.map(
    cell => cell instanceof Node ? make(tag, "", cell) : make(tag, String(cell ?? ""))));
  return make("table", "", row(heads, "th"), ...rows.map(cells => row(cells, "td")));
};
const refName = ref => ref.split("/").pop();
const typeNode = schema => {
  const node = make("span");
  const say = part => {
    if (!part) return node.append("any");
    if (part.$ref) {
      const link = make("a", refName(part.$ref));
      link.href = "#" + refName(part.$ref);
      node.append(link);
    } else if (part.anyOf || part.oneOf) {
      (part.anyOf || part.oneOf).forEach((choice, at) => {
        if (at) node.append(" or ");
        say(choice);
      });
    } else if (part.enum || "const" in part) {
      node.append((part.enum || [part.const]).map(value => JSON.stringify(value)).join(", "));
    } else if (part.type === "array") {
      node.append("list of ");
      say(part.items);
    } else if (part.type === "object" && part.additionalProperties) {
      node.append("object by name of ");
      say(part.additionalProperties);
    } else node.append(part.type || "any");
  };
  say(schema);
  return node;
};
const LIMITS = {
  minimum: "at least", maximum: "at most", exclusiveMinimum: "above", exclusiveMaximum: "below",
  minLength: "characters at least", maxLength: "characters at most", minItems: "entries at least",
  maxItems: "entries at most", pattern: "as",
};
const about = (schema, text) => {
  const parts = [text || schema.description];
  for (const part of [schema, ...(schema.anyOf || [])])
    for (const [key, words] of Object.entries(LIMITS))
      if (key in part) parts.push(`${words} ${part[key]}`);
  if (schema.default != null) parts.push(`default ${JSON.stringify(schema.default)}`);
  if (schema.examples) parts.push(`such as ${JSON.stringify(schema.examples[0])}`);
  return parts.filter(Boolean).join("; ").replaceAll(".;", ";");
};
const fields = schema => {
  const needed = new Set(schema.required || []);
  return table(["field", "type", "needed", "meaning, unit, limits"],
    Object.entries(schema.properties || {}).map(([name, field]) =>
      [make("code", name), typeNode(field), needed.has(name) ? "yes" : "", about(field)]));
};
const bodyOf = content => Object.entries(content || {}).map(([media, body]) =>
  make("div", "", make("code", media), " ", typeNode(body.schema)));
const call = (method, path, found) => {
  const inside = make("div");
  if (found.description) inside.append(make("p", found.description));
  if (found.parameters) inside.append(make("h3", "Parameters"), table(
    ["name", "in", "type", "needed", "meaning, unit, limits"],
    found.parameters.map(one => [make("code", one.name), one.in, typeNode(one.schema),
      one.required ? "yes" : "", about(one.schema, one.description)])));
  if (found.requestBody)
    inside.append(make("h3", "Body"), ...bodyOf(found.requestBody.content));
  inside.append(make("h3", "Answers and errors"), table(["status", "meaning", "content"],
    Object.entries(found.responses).map(([status, answer]) =>
      [status, answer.description, make("span", "", ...bodyOf(answer.content))])));
  const line = make("summary", "", make("code", `${method.toUpperCase()} ${path}`), " ",
    found.summary || "");
  return make("details", "", line, inside);
};
const show = page => {
  document.title = page.info.title;
  document.getElementById("title").textContent = `${page.info.title} ${page.info.version}`;
  document.getElementById("about").textContent = page.info.description.trim();
  for (const [path, calls] of Object.entries(page.paths))
    for (const [method, found] of Object.entries(calls))
      document.getElementById("calls").append(call(method, path, found));
  for (const [name, schema] of Object.entries(page.components.schemas)) {
    const head = make("h3", name);
    head.id = name;
    document.getElementById("objects").append(head,
      make("p", schema.description || ""), fields(schema));
  }
};
fetch("openapi.json").then(answer => answer.json()).then(show).catch(error => {
  document.getElementById("about").textContent = `openapi.json cannot be read: ${error}`;
});
"""

PAGE = f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Tapedeck</title><link rel="icon" href="data:,">
<style>{_STYLE}</style></head>
<body>
<h1 id="title">Tapedeck</h1>
<pre id="about">Loading openapi.json</pre>
<h2>Calls</h2><div id="calls"></div>
<h2>Objects</h2><div id="objects"></div>
<noscript>This page needs JavaScript; <a href="openapi.json">openapi.json</a> does not.</noscript>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def add_page(app: FastAPI) -> None:
    """The page, beside the ``/openapi.json`` that it shows."""

    headers = {POLICY: page_policy([_SCRIPT], [_STYLE])}

    async def docs(_: Request) -> Response:
        return HTMLResponse(PAGE, headers=headers)

    app.add_route("/docs", docs, include_in_schema=False)
