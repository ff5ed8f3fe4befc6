// All alarms: what stands, what is quiet and why, and what happened.

import { button, fill, h } from "../dom.js";
import { data } from "../store.js";
import { alarms, quiet } from "../plant.js";
import { name as word, number, t, time } from "../text.js";
import { acknowledge, form, key, service, shelve, table } from "./alarmtable.js";

export function open(main, _, tools) {
  const chosen = new Set();
  const bar = h("div", { class: "row" });
  const standing = h("div", {});
  const silent = h("div", {});
  const places = h("div", {});
  const figures = h("dl", {});
  const past = h("div", {});
  fill(main, h("h2", {}, t("page.alarms")), h("section", { class: "panel", "aria-label": t("alarms.standing") }, bar, standing),
    h("section", { class: "panel" }, h("h3", {}, t("alarms.quiet")), silent),
    h("section", { class: "panel" }, h("div", { class: "row" }, h("h3", { class: "grow" }, t("places")), button("engineer", t("outofservice.take"), take)), places),
    h("section", { class: "panel" }, h("h3", {}, t("kpi")), figures),
    h("section", { class: "panel" }, h("h3", {}, t("history")), past));

  function take() {
    const lines = [...new Set([...data.things.values()].map((m) => m.l).filter(Boolean))].sort();
    form(t("outofservice.take"), "", [h("label", {}, t("place"), h("select", { name: "place" }, lines.map((l) => h("option", { value: `line ${l}` }, `${t("line")}: ${l}`)),
      [...data.things.keys()].sort().map((m) => h("option", { value: `thing ${m}` }, m))))], t("next"), (v) => {
      const [kind, ...rest] = v.place.split(" ");
      service({ [kind]: rest.join(" ") }, tools);
    });
  }

  const selected = () => alarms().filter((a) => chosen.has(key(a)));

  function buttons() {
    const n = selected().length;
    fill(bar, h("h3", { class: "grow" }, t("alarms.standing")), h("span", { class: "quiet" }, n ? t("selected", { n }) : ""),
      button("operator", t("acknowledge"), () => acknowledge(selected(), tools), { class: "main", disabled: n === 0 }),
      button("operator", t("shelve"), () => shelve(selected(), tools), { disabled: n === 0 }));
  }

  function draw(kinds) {
    if (!kinds || kinds.has("alarms")) {
      const all = alarms();
      for (const k of [...chosen]) if (!data.alarms.has(k)) chosen.delete(k);
      const loud = all.filter((a) => !quiet(a));
      const calm = all.filter(quiet);
      const focus = document.activeElement?.closest?.("tr")?.dataset.key;
      fill(standing, loud.length ? table(loud, tools, chosen, (redraw) => (redraw ? draw(null) : buttons())) : h("p", { class: "empty" }, t("alarms.none")));
      fill(silent, calm.length ? table(calm, tools) : h("p", { class: "empty" }, t("alarms.noquiet")));
      if (focus) standing.querySelector(`tr[data-key="${CSS.escape(focus)}"] input`)?.focus();
      buttons();
    }
    if (!kinds || kinds.has("places")) {
      const list = [...data.places.values()];
      fill(places, list.length ? h("table", {}, h("tbody", {}, list.map((p) => h("tr", {}, h("td", {}, p.thing ?? `${t("line")}: ${p.line}`), h("td", {}, p.retired ? t("retired") : t("outofservice")),
        h("td", {}, time(p.since)), h("td", {}, [p.by, p.comment].filter(Boolean).join(": ")),
        h("td", {}, button("engineer", t("return"), () => tools.ask("alarm", { do: "return-to-service", thing: p.thing || undefined, line: p.thing ? undefined : p.line }))))))) :
        h("p", { class: "empty" }, t("places.none")));
    }
    if (!kinds || kinds.has("components")) kpi();
    if (!kinds || kinds.has("history")) {
      const list = [...data.history].sort(([a], [b]) => b.localeCompare(a)).slice(0, 100).map(([, c]) => c);
      fill(past, list.length ? h("table", { class: "cards" }, h("thead", {}, h("tr", {}, [t("time"), t("what"), t("machine"), t("alarm"), t("by"), t("why")].map((x) => h("th", { scope: "col" }, x)))),
        h("tbody", {}, list.map((c) => h("tr", {}, h("td", { "data-label": t("time") }, time(c.ts)), h("td", { "data-label": t("what") }, word("change", c.change)),
          h("td", { "data-label": t("machine") }, c.thing ?? c.line ?? ""), h("td", { "data-label": t("alarm") }, word("fault", c.fault ?? "")), h("td", { "data-label": t("by") }, c.by ?? ""),
          h("td", { "data-label": t("why") }, c.why ?? ""))))) : h("p", { class: "empty" }, t("history.none")));
    }
  }

  function kpi() {
    const c = data.components.get("com.edgepdm.AlarmManager")?.counters;
    fill(figures, c ? ["standing", "unacknowledged", "stale", "flood_min", "raised", "acknowledged", "shelved", "suppressed", "chattering"].map((k) => [h("dt", {}, t(`kpi.${k}`)), h("dd", { class: "num" }, number(c[`alarm.${k}`] ?? 0))]) :
      [h("dt", {}, t("component.away")), h("dd", {})]);
  }

  return { draw };
}
