// One machine: how it is, why, and since when.

import { button, fill, h, mark, width } from "../dom.js";
import { data, get } from "../store.js";
import { alarms, called, unacknowledged } from "../plant.js";
import { full, life, name as word, number, percent, significant, t, time } from "../text.js";
import { acknowledge, table as alarmTable } from "./alarmtable.js";
import { watch as watchSensors } from "../sensors.js";
import { chart } from "../chart.js";

export function open(main, thing, tools) {
  const head = h("div", { class: "row" });
  const facts = h("dl", {});
  const reasons = h("div", {});
  const remaining = h("div", {});
  const alarmsOf = h("div", {});
  const history = h("div", {});
  const spans = h("select", { "aria-label": t("span"), onchange: () => trends() },
    ["10m", "1h", "24h", "7d", "90d"].map((span) => h("option", { value: span, selected: span === "1h" }, t(`span.${span}`))));
  const plots = h("div", {});
  const live = h("div", {});
  const csv = h("a", { download: `${thing}.csv` }, t("csv"));
  fill(main, head, h("div", { class: "grid" },
    h("section", { class: "panel" }, h("h3", {}, t("machine.now")), facts),
    h("section", { class: "panel" }, h("h3", {}, t("machine.reasons")), reasons),
    h("section", { class: "panel" }, h("h3", {}, t("life")), remaining)),
  h("section", { class: "panel" }, h("h3", {}, t("page.alarms")), alarmsOf),
  h("section", { class: "panel" }, h("h3", {}, t("live")), live),
  h("section", { class: "panel" }, h("div", { class: "row" }, h("h3", { class: "grow" }, t("machine.trends")), spans, csv), plots),
  h("section", { class: "panel" }, h("h3", {}, t("history")), history));
  let closed = false;
  let charts = [];

  async function trends() {
    const span = spans.value;
    csv.href = `api/trend.csv?${new URLSearchParams({ thing, span })}`;
    const trend = await get("api/trend", { thing, span });
    if (closed || spans.value !== span) return;
    for (const c of charts) c.close();
    charts = [];
    if (!trend?.times?.length) {
      fill(plots, h("p", { class: "empty" }, t("machine.notrend")));
      return;
    }
    const usual = Object.fromEntries((trend.sensors ?? []).map((s) => [s.sensor, s]));
    fill(plots);
    for (const [series, values] of Object.entries(trend.series)) {
      const s = usual[series] ?? {};
      const title = series === "score" ? t("risk") : `${called({ sensor: series, ...s })}${s.unit ? ` (${s.unit})` : ""}`;
      charts.push(chart(plots, { title, times: trend.times, values, low: s.low, high: s.high, line: series === "score" ? data.things.get(thing)?.h : undefined }));
    }
  }

  function draw(kinds) {
    if (kinds && !["things", "alarms", "history", "places"].some((kind) => kinds.has(kind))) return;
    const m = data.things.get(thing);
    if (!kinds || kinds.has("things") || kinds.has("alarms")) {
      const own = alarms().filter((a) => a.thing === thing);
      const first = own.find((a) => a.active) ?? own[0];
      fill(head, h("h2", { class: "grow" }, thing, m?.l ? h("span", { class: "quiet" }, ` – ${m.l}`) : ""),
        first ? mark(first.priority, t(`priority.${first.priority}`)) : mark("none", t("normal")),
        own.some(unacknowledged) && button("operator", t("acknowledge"), () => acknowledge(own.filter(unacknowledged), tools), { class: "main" }));
      if (!kinds || kinds.has("alarms")) fill(alarmsOf, own.length ? alarmTable(own, tools) : h("p", { class: "empty" }, t("alarms.none")));
    }
    if (m && (!kinds || kinds.has("things"))) now(m);
    if (!m && !kinds) fill(facts, h("dt", {}, t("machine.unknown")), h("dd", {}));
    if (!kinds || kinds.has("history")) past();
  }

  function now(m) {
    const label = m.b === "F" ? t("faulty") : m.b === "N" ? t("nodata") : t("sound");
    fill(facts,
      h("dt", {}, t("verdict")), h("dd", { class: m.b ? "state bad" : "" }, label),
      h("dt", {}, t("risk")), h("dd", { class: "num" }, percent(m.p, 1), h("span", { class: "quiet" }, ` (${t("threshold")} ${percent(m.h, 1)})`)),
      h("dt", {}, t("row")), h("dd", {}, full(m.t)),
      h("dt", {}, t("model")), h("dd", {}, m.m ?? "–"),
      m.q && [h("dt", {}, t("doubtful")), h("dd", { class: "state warn" }, [...(m.q.frozen ?? []), ...(m.q.outside ?? []), ...(m.q.missing ?? [])].join(", "))],
      Object.entries(m.w ?? {}).map(([sensor, value]) => [h("dt", {}, sensor), h("dd", { class: "num" }, significant(value))]),
      m.s && [h("dt", {}, t("simulated")), h("dd", { class: "simulated" }, t("yes"))]);
    fill(reasons, m.y?.length ? [h("p", { class: "quiet" }, time(m.yt)), bars(m.y)] : h("p", { class: "empty" }, t("machine.noreasons")));
    fill(remaining, m.f ? interval(m.f) : h("p", { class: "empty" }, t("machine.nolife")));
  }

  function past() {
    const own = [...data.history].filter(([, c]) => c.thing === thing).sort(([a], [b]) => b.localeCompare(a)).slice(0, 50).map(([, c]) => c);
    fill(history, own.length ? h("table", { class: "cards" }, h("thead", {}, h("tr", {}, [t("time"), t("what"), t("alarm"), t("by"), t("why")].map((x) => h("th", { scope: "col" }, x)))),
      h("tbody", {}, own.map((c) => h("tr", {}, h("td", { "data-label": t("time") }, time(c.ts)), h("td", { "data-label": t("what") }, word("change", c.change)),
        h("td", { "data-label": t("alarm") }, word("fault", c.fault ?? "")), h("td", { "data-label": t("by") }, c.by ?? ""), h("td", { "data-label": t("why") }, c.why ?? c.text ?? ""))))) :
      h("p", { class: "empty" }, t("history.none")));
  }

  trends();
  const again = setInterval(trends, 30_000);
  const sensors = watchSensors(live, thing);
  return { draw, close() { closed = true; sensors.close(); clearInterval(again); for (const c of charts) c.close(); } };
}

/** bars shows what points to a fault, by its share. */
function bars(list) {
  return h("div", { class: "bars" }, list.map((c) => {
    const usual = c.low === undefined || c.low === null ? "" : ` (${t("usually", { low: significant(c.low), high: significant(c.high) })})`;
    const value = c.direction === "missing" ? t("missing") : `${significant(c.value)}${c.unit ? ` ${c.unit}` : ""}`;
    return [h("span", {}, called(c), h("br", {}), h("span", { class: "quiet num" }, value, usual)), h("div", { "aria-hidden": "true" }, width(h("div", { class: "fill" }), c.share * 100)), h("span", { class: "num" }, percent(c.share))];
  }));
}

/** interval shows the remaining life. */
function interval(l) {
  const most = Math.max(l.high, 1e-9);
  const range = h("div", { class: "range", "aria-hidden": "true" }, width(h("i", {}), ((l.high - l.low) / most) * 100, (l.low / most) * 100), h("b", {}));
  range.lastChild.style.left = `${(l.median / most) * 100}%`;
  return [h("p", {}, h("b", {}, life(l))), range, h("p", { class: "quiet" }, t("life.explained", { median: number(l.median, 0), unit: word("unit", l.unit), coverage: percent(l.coverage) }))];
}
