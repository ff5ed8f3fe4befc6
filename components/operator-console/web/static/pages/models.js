// The models: what scores, what proves itself, and what has drifted.

import { button, fill, h } from "../dom.js";
import { data } from "../store.js";
import { called } from "../plant.js";
import { full, name as word, number, percent, significant, t, time } from "../text.js";
import { form } from "./alarmtable.js";

const engine = "com.edgepdm.InferenceEngine";

export function open(main, _, tools) {
  const active = h("div", {});
  const candidate = h("div", {});
  const drift = h("div", {});
  const events = h("div", {});
  fill(main, h("h2", {}, t("page.models")), h("div", { class: "grid" }, h("section", { class: "panel" }, h("h3", {}, t("models.active")), active),
    h("section", { class: "panel" }, h("h3", {}, t("models.candidate")), candidate)),
  h("section", { class: "panel" }, h("h3", {}, t("drift")), drift), h("section", { class: "panel" }, h("h3", {}, t("models.events")), events));

  const decide = (what, role) => form(t(what), t(`${what}.explained`), [h("label", {}, t("why"), h("input", { name: "reason", maxlength: "300", required: true }))], t(what),
    (v) => tools.ask("model", { do: what, role, reason: v.reason }));

  function draw(kinds) {
    if (!kinds || kinds.has("components")) {
      const health = data.components.get(engine);
      fill(active, health ? [["fault", health.model], ["life", health.life_model]].map(([role, model]) => h("div", { class: "row" },
        h("div", { class: "grow" }, h("b", {}, t(`role.${role}`)), ": ", model ? [model.version, h("span", { class: "quiet" }, ` ${model.sha256.slice(0, 12)}`)] : t("models.none")),
        model && button("engineer", t("rollback"), () => decide("rollback", role === "life" ? "life" : undefined)))) : h("p", { class: "empty" }, t("component.away")),
      button("operator", t("fetch"), () => tools.ask("model-fetch", {})));
    }
    if (!kinds || kinds.has("comparisons")) compare(data.comparisons.get("fault"));
    if (!kinds || kinds.has("drifts")) drifts();
    if (!kinds || kinds.has("models")) {
      const list = [...data.models].sort(([a], [b]) => b.localeCompare(a)).map(([, e]) => e);
      fill(events, list.length ? h("table", { class: "cards" }, h("tbody", {}, list.map((e) => h("tr", {}, h("td", {}, time(e.ts)), h("td", {}, word("step", e.event)),
        h("td", {}, `${e.name ?? ""} ${e.version ?? ""}`), h("td", {}, e.detail ?? ""))))) : h("p", { class: "empty" }, t("models.noevents")));
    }
  }

  function compare(c) {
    if (!c || c.decision !== "open") {
      fill(candidate, h("p", { class: "empty" }, t("models.nocandidate")), c && h("p", {}, t("models.last", { version: c.candidate.version, decision: word("decision", c.decision), time: time(c.ts) })), c && rules(c));
      return;
    }
    fill(candidate, h("p", {}, h("b", {}, c.candidate.version), ` ${t("models.beside")} ${c.active.version}`), rules(c), h("dl", {},
      h("dt", {}, t("compare.agreement")), h("dd", { class: "num" }, percent(c.agreement, 2)),
      h("dt", {}, t("compare.faulty")), h("dd", { class: "num" }, `${percent(c.faulty[0], 2)} / ${percent(c.faulty[1], 2)}`),
      h("dt", {}, t("compare.latency")), h("dd", { class: "num" }, `${number(c.p99_us[0])} / ${number(c.p99_us[1])} µs`),
      h("dt", {}, t("compare.rows")), h("dd", { class: "num" }, number(c.rows, 0), c.skipped ? h("span", { class: "quiet" }, ` (${t("compare.skipped", { n: number(c.skipped, 0) })})`) : "")),
    h("div", { class: "actions" }, button("engineer", t("reject"), () => decide("reject")), button("engineer", t("promote"), () => decide("promote"), { class: "main" })));
  }

  const rules = (c) => h("table", {}, h("thead", {}, h("tr", {}, [t("rule"), t("have"), t("need"), t("state")].map((x) => h("th", { scope: "col" }, x)))),
    h("tbody", {}, (c.rules ?? []).map((r) => h("tr", {}, h("td", {}, word("rule", r.rule)), h("td", {}, r.have), h("td", {}, r.need), h("td", { class: r.ok ? "" : "state warn" }, r.ok ? "✓" : t("rule.open"))))));

  function drifts() {
    const list = [...data.drifts.values()].filter((d) => d.state === "DRIFT");
    fill(drift, list.length ? list.map((d) => h("div", {}, h("h4", {}, d.line || t("line.none"), h("span", { class: "quiet" }, ` ${t("since", { time: full(d.since) })}`)),
      h("table", {}, h("thead", {}, h("tr", {}, [t("what"), t("usual"), t("now"), "PSI", t("limit")].map((x, i) => h("th", { scope: "col", class: i ? "num" : "" }, x)))),
        h("tbody", {}, (d.found ?? []).map((f) => h("tr", {}, h("td", {}, f.sensor ? `${called(f)} (${word("kind", f.kind)})` : word("kind", f.kind)), h("td", { class: "num" }, significant(f.usual), f.unit ? ` ${f.unit}` : ""),
          h("td", { class: "num" }, significant(f.now), f.unit ? ` ${f.unit}` : ""), h("td", { class: "num" }, number(f.psi, 2)), h("td", { class: "num" }, number(f.limit, 2)))))),
      d.more ? h("p", { class: "quiet" }, t("more", { n: d.more })) : "", d.unknown?.length ? h("p", {}, `${t("drift.unknown")}: ${d.unknown.join(", ")}`) : "")) : h("p", { class: "empty" }, t("drift.none")));
  }

  return { draw };
}
