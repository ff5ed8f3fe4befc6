// The plant at a glance: what needs somebody first.

import { fill, h, mark, width, write } from "../dom.js";
import { data, trendOf } from "../store.js";
import { alarms, machines, quiet, unacknowledged } from "../plant.js";
import { lasts, life, percent, t } from "../text.js";
import { vlist } from "../vlist.js";

const every = 1000; // milliseconds between two drawings of the list: an eye needs no more

export function open(main) {
  const tiles = h("div", { class: "tiles" });
  const lines = h("div", { class: "lines", role: "group", "aria-label": t("line") });
  let chosen = "*"; // line
  const search = h("input", { type: "search", placeholder: t("search"), "aria-label": t("search"), oninput: () => draw(null) });
  const count = h("span", { class: "quiet", "aria-live": "polite" });
  const list = vlist({ label: t("machines"), make: row, draw: paint });
  const empty = h("p", { class: "empty" }, t("overview.empty"));
  fill(main, h("h2", {}, t("page.overview")), tiles, lines, h("div", { class: "row" }, search, count),
    h("div", { class: "vhead", "aria-hidden": "true" }, h("span", {}, t("state")), h("span", {}, t("machine")), h("span", { class: "hide-narrow" }, t("line")),
      h("span", {}, t("risk")), h("span", { class: "hide-narrow" }, t("trend")), h("span", { class: "hide-narrow" }, t("life")), h("span", { class: "hide-narrow" }, t("heard"))),
    list.element, empty);
  let drawn = 0;
  let late;

  function draw(kinds) {
    const urgent = !kinds || kinds.has("alarms");
    const now = performance.now();
    if (!urgent && now - drawn < every) {
      late ??= setTimeout(() => { late = undefined; draw(new Set(["things"])); }, every - (now - drawn));
      return;
    }
    if (kinds && !["things", "alarms", "link"].some((kind) => kinds.has(kind))) return;
    drawn = now;
    summary();
    const all = machines();
    choose(all);
    const text = search.value.trim().toLowerCase();
    const some = all.filter((m) => (chosen === "*" || (m.thing.l ?? "") === chosen) && (!text || m.name.toLowerCase().includes(text)));
    write(count, t("overview.count", { n: some.length, all: all.length }));
    empty.hidden = all.length > 0;
    list.element.hidden = all.length === 0;
    list.show(some);
  }

  /** choose shows the lines, the most urgent first, to look at one of them. */
  function choose(all) {
    const by = new Map();
    for (const m of all) { // by urgency
      const line = by.get(m.thing.l ?? "") ?? { name: m.thing.l ?? "", machines: 0, high: 0, medium: 0, low: 0 };
      line.machines++;
      if (m.alarm) line[m.alarm.priority ?? "low"]++;
      by.set(line.name, line);
    }
    const list = [...by.values()].sort((a, b) => b.high - a.high || b.medium - a.medium || b.low - a.low || a.name.localeCompare(b.name, undefined, { numeric: true }));
    if (!by.has(chosen)) chosen = "*";
    const key = JSON.stringify([list, chosen]);
    if (lines.dataset.key === key) return;
    lines.dataset.key = key;
    const focus = document.activeElement?.closest?.(".lines button")?.dataset.line;
    const button = (line, ...content) => h("button", { type: "button", "data-line": line, "aria-pressed": String(line === chosen), onclick: () => { chosen = line; draw(null); } }, content);
    fill(lines, button("*", t("lines.all")), list.map((l) => button(l.name, l.name || t("line.none"), h("span", { class: "quiet" }, l.machines),
      ["high", "medium", "low"].filter((p) => l[p]).map((p) => mark(p, `${l[p]} ${t(`priority.${p}`)}`)))));
    if (focus !== undefined) [...lines.children].find((b) => b.dataset.line === focus)?.focus();
  }

  function summary() {
    const open = alarms().filter((a) => (a.active || unacknowledged(a)) && !quiet(a));
    const of = (priority) => open.filter((a) => a.priority === priority).length;
    fill(tiles, ["high", "medium", "low"].map((priority) =>
      h("a", { class: "tile", href: "#/alarms" }, of(priority) ? mark(priority, t(`priority.${priority}`)) : h("span", { class: "quiet" }, t(`priority.${priority}`)), h("b", {}, of(priority)))),
    h("div", { class: "tile" }, h("span", { class: "quiet" }, t("machines")), h("b", {}, data.things.size)));
  }

  return { draw, close: () => clearTimeout(late) };
}

function row() {
  const meter = h("span", { class: "meter" }, h("i", {}), h("u", {}));
  return h("div", { class: "vrow" }, h("a", { class: "vlink", href: "#/" }, h("span", {}), h("b", {}), h("span", { class: "hide-narrow" }), h("span", {}, meter, h("span", { class: "num" })),
    h("span", { class: "hide-narrow" }, h("canvas", { class: "spark", width: "176", height: "48", "aria-hidden": "true" })), h("span", { class: "hide-narrow num" }), h("span", { class: "hide-narrow num quiet" })));
}

function paint(row, m) {
  const link = row.firstChild;
  const [state, name, line, risk, trend, remaining, heard] = link.children;
  link.href = `#/machine/${encodeURIComponent(m.name)}`;
  const word = m.alarm ? t(`priority.${m.alarm.priority}`) : m.silent ? t("silent") : m.thing.b === "N" ? t("nodata") : t("normal");
  const key = `${m.alarm?.priority} ${m.alarm?.state} ${word}`;
  if (state.dataset.key !== key) {
    state.dataset.key = key;
    state.className = m.alarm && unacknowledged(m.alarm) ? "fresh" : "";
    fill(state, mark(m.alarm?.priority ?? "none", word));
  }
  write(name, m.name);
  write(line, m.thing.l ?? "");
  const [meter, value] = risk.children;
  meter.classList.toggle("bad", m.thing.b === "F");
  width(meter.children[0], m.thing.p * 100);
  meter.children[1].style.left = `${m.thing.h * 100}%`;
  write(value, ` ${m.thing.b === "N" ? t("nodata") : percent(m.thing.p)}`);
  write(remaining, life(m.thing.f));
  write(heard, lasts(Date.now() - m.thing.a));
  spark(trend.firstChild, trendOf(m.name), m.thing.h);
}

/** spark draws the last scores. */
function spark(canvas, values, threshold) {
  const c = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const { width: w, height: hh } = canvas;
  c.clearRect(0, 0, w, hh);
  if (values.length < 2 || canvas.offsetParent === null) return;
  const y = (v) => hh - 3 - v * (hh - 6);
  c.strokeStyle = style.getPropertyValue("--line");
  c.beginPath();
  c.moveTo(0, y(threshold));
  c.lineTo(w, y(threshold));
  c.stroke();
  c.strokeStyle = style.getPropertyValue("--quiet");
  c.lineWidth = 2;
  c.beginPath();
  values.forEach((v, i) => c.lineTo((i * w) / (values.length - 1), y(v)));
  c.stroke();
}
