// The sensors of a machine as they are now. The component hears its rows only while this asks.

import { fill, h, width, write } from "./dom.js";
import { get } from "./store.js";
import { called } from "./plant.js";
import { significant, t, time } from "./text.js";

const every = 1000; // milliseconds
const atFirst = 12; // rows that are shown until somebody wants all

/** watch shows the sensors of a machine in an element, those outside of what is usual first, until close. */
export function watch(place, thing) {
  let model = "";
  let sensors = [];
  let all = false;
  let shown = ""; // the order that is shown
  let rows = new Map();
  let closed = false;
  let timer;
  const note = h("p", { class: "quiet" }, t("live.waiting"));
  const body = h("tbody", {});
  const more = h("button", { type: "button", hidden: true, onclick: () => { all = !all; shown = ""; ask(); } });
  const table = h("table", { class: "sensors", hidden: true }, h("thead", {}, h("tr", {}, [t("sensor"), t("value"), t("usual"), ""].map((x, i) => h(i < 3 ? "th" : "td", i < 3 ? { scope: "col", class: i === 1 ? "num" : "" } : {}, x)))), body);
  fill(place, note, table, more);

  async function ask() {
    clearTimeout(timer);
    if (!document.hidden) show(await get("api/live", { thing, model }));
    if (!closed) timer = setTimeout(ask, every);
  }

  /** outside is how far a value is beyond its usual range, in widths of that; 0 within, -1 where nobody knows what is usual. */
  function outside(s, x) {
    if (x === null || x === undefined) return 1e9;
    if (s.low === undefined || s.high === undefined) return -1;
    return Math.max(s.low - x, x - s.high, 0) / (s.high - s.low || 1);
  }

  function show(news) {
    if (closed || !news) return;
    if (news.problem || !news.ts) {
      write(note, news.problem || t("live.waiting"));
      return;
    }
    if (news.model !== model || news.sensors) {
      if (!news.sensors) { model = ""; return; } // they come with the next answer
      ({ model, sensors } = news);
      shown = "";
    }
    if (!news.values || !sensors.length) {
      write(note, t("live.unnamed"));
      return;
    }
    const list = sensors.map((s, i) => ({ s, i, x: news.values[i], out: outside(s, news.values[i]) }));
    const beyond = list.filter((r) => r.out > 0).length;
    write(note, `${time(news.ts)} – ${t("live.outside", { n: beyond, all: list.length })}`);
    list.sort((a, b) => b.out - a.out || a.i - b.i);
    const part = all ? list : list.slice(0, Math.max(atFirst, Math.min(beyond, 2 * atFirst)));
    const order = part.map((r) => r.i).join(" ");
    if (order !== shown) {
      shown = order;
      rows = new Map(part.map((r) => [r.i, row(r.s)]));
      fill(body, [...rows.values()].map((r) => r.element));
    }
    for (const r of part) rows.get(r.i).set(r.x, r.out);
    table.hidden = false;
    more.hidden = list.length <= atFirst;
    write(more, all ? t("live.fewer") : t("live.all", { n: list.length }));
  }

  ask();
  return { close() { closed = true; clearTimeout(timer); } };
}

function row(s) {
  const value = h("td", { class: "num" });
  const known = s.low !== undefined && s.high !== undefined;
  const needle = h("b", {});
  // The band has the middle half of the scale.
  const element = h("tr", {}, h("td", {}, called(s)), value, h("td", { class: "num quiet" }, known ? `${significant(s.low)} … ${significant(s.high)}${s.unit ? ` ${s.unit}` : ""}` : "–"),
    h("td", { class: "gauge", "aria-hidden": "true" }, known && h("div", { class: "range" }, width(h("i", {}), 50, 25), needle)));
  return {
    element,
    set(x, out) {
      write(value, x === null || x === undefined ? t("missing") : `${significant(x)}${s.unit ? ` ${s.unit}` : ""}${out > 0 ? ` ${x > s.high ? "▲" : "▼"}` : ""}`);
      value.classList.toggle("warn", out > 0);
      value.classList.toggle("state", out > 0);
      needle.hidden = x === null || x === undefined;
      if (known && !needle.hidden) needle.style.left = `${Math.max(0, Math.min(99, 25 + (50 * (x - s.low)) / (s.high - s.low || 1)))}%`;
    },
  };
}
