// The components: whether they work, and what is wrong where they do not.

import { button, fill, h } from "../dom.js";
import { data } from "../store.js";
import { number, t, time } from "../text.js";

const late = (c) => Date.now() - new Date(c.ts).valueOf() > 3 * (c.interval_ms || 5000) + 5000;

export function open(main, _, tools) {
  const list = h("div", { class: "grid" });
  fill(main, h("div", { class: "row" }, h("h2", { class: "grow" }, t("page.health")), button("operator", t("test"), () => tools.ask("test-alarm", {}))), list);
  const unfolded = new Set();

  function draw(kinds) {
    if (kinds && !kinds.has("components")) return;
    fill(list, [...data.components.values()].sort((a, b) => a.component.localeCompare(b.component)).map((c) => {
      const bad = late(c) ? "bad" : c.state === "OK" || c.state === "NOT_CONFIGURED" ? "" : "warn";
      return h("section", { class: "panel" }, h("h3", {}, c.component.replace("com.edgepdm.", "")), h("dl", {},
        h("dt", {}, t("state")), h("dd", { class: `state ${bad}` }, late(c) ? t("silent") : c.state, c.detail ? `: ${c.detail}` : ""),
        h("dt", {}, t("version")), h("dd", {}, c.version), h("dt", {}, t("heard")), h("dd", {}, time(c.ts)),
        c.started && [h("dt", {}, t("started")), h("dd", {}, time(c.started))],
        c.memory_kb && [h("dt", {}, t("memory")), h("dd", { class: "num" }, `${number(c.memory_kb / 1024, 1)} MiB`)],
        c.latency?.p50_us > 0 && [h("dt", {}, t("latency")), h("dd", { class: "num" }, `≤ ${number(c.latency.p50_us / 1000, 2)} · ≤ ${number(c.latency.p99_us / 1000, 2)} ms`)],
        (c.conditions ?? []).map((x) => [h("dt", {}, x.code), h("dd", {}, `${x.place}: ${x.detail}`, h("span", { class: "quiet" }, ` (${t("since", { time: time(x.since) })})`))])),
      h("details", { open: unfolded.has(c.component), ontoggle: (event) => unfolded[event.target.open ? "add" : "delete"](c.component) }, h("summary", {}, t("counters")),
        h("dl", {}, Object.entries(c.counters ?? {}).sort().map(([name, value]) => [h("dt", {}, name), h("dd", { class: "num" }, number(value, 0))]))));
    }));
  }

  // A component that falls silent says nothing that would draw the page again.
  let silent = "";
  function tick() {
    const now = [...data.components.values()].filter(late).map((c) => c.component).join(" ");
    if (now !== silent) draw(null);
    silent = now;
  }

  return { draw, tick };
}
