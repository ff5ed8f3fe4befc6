// The way to the cloud: whether it is there, and what waits for it.

import { button, fill, h } from "../dom.js";
import { data } from "../store.js";
import { bytes, lasts, name as word, number, t } from "../text.js";

const forwarder = "com.edgepdm.CloudForwarder";

export function open(main, _, tools) {
  const state = h("dl", {});
  const streams = h("div", {});
  fill(main, h("h2", {}, t("page.link")), h("section", { class: "panel" }, state), h("section", { class: "panel" }, h("h3", {}, t("link.streams")), streams));

  function draw(kinds) {
    if (kinds && !kinds.has("components")) return;
    const health = data.components.get(forwarder);
    if (!health) {
      fill(state, h("dt", {}, t("component.away")), h("dd", {}));
      fill(streams);
      return;
    }
    const down = health.uplink === "down";
    fill(state, h("dt", {}, t("link.uplink")), h("dd", { class: down ? "state warn" : "state" }, word("uplink", health.uplink ?? "unknown")),
      h("dt", {}, t("state")), h("dd", {}, health.state, health.detail ? `: ${health.detail}` : ""),
      (health.conditions ?? []).map((c) => [h("dt", {}, c.code), h("dd", {}, `${c.place}: ${c.detail}`)]));
    const by = new Map();
    for (const [counter, value] of Object.entries(health.counters ?? {})) {
      const found = /^stream\.([^.]+)\.(.+)$/.exec(counter);
      if (!found) continue;
      if (!by.has(found[1])) by.set(found[1], {});
      by.get(found[1])[found[2]] = value;
    }
    const columns = ["depth", "oldest_s", "bytes", "accepted", "sent", "retried", "dead", "dropped", "lost"];
    const shown = (c, value) => (c === "oldest_s" ? (value ? lasts(value * 1000) : "–") : c === "bytes" ? bytes(value) : number(value, 0));
    fill(streams, h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": t("table") }, h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("link.stream")), columns.map((c) => h("th", { scope: "col", class: "num" }, word("stream", c))))),
      h("tbody", {}, [...by].sort().map(([name, s]) => h("tr", {}, h("td", {}, name), columns.map((c) => h("td", { class: `num${["dead", "dropped", "lost"].includes(c) && s[c] ? " state warn" : ""}` }, shown(c, s[c] ?? 0)))))))),
    h("div", { class: "actions" }, button("engineer", t("replay"), () => tools.ask("replay", {}))));
  }

  return { draw };
}
