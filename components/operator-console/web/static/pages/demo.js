// The demo: what a visitor may do to the plant. The page is there in the demo only.

import { button, fill, h } from "../dom.js";
import { data } from "../store.js";
import { name as word, t } from "../text.js";

const faults = ["overheating", "bearing-wear", "air-leak", "sensor-stuck", "sensor-dropout"];

export function open(main, _, tools) {
  const things = h("select", { name: "thing" });
  const fault = h("select", { name: "fault" }, faults.map((f) => h("option", { value: f }, word("demofault", f))));
  const length = h("select", { name: "length" }, [20, 60, 300].map((s) => h("option", { value: s }, `${s} s`)));
  const player = h("audio", { controls: true, "aria-label": t("demo.sound") });
  const act = (what) => button("operator", t(`demo.${what}`), () => tools.ask("demo", { do: what }));
  player.addEventListener("error", () => tools.say(t("demo.nosound"), true));
  fill(main, h("h2", {}, t("page.demo")), h("div", { class: "grid" },
    h("section", { class: "panel" }, h("h3", {}, t("demo.fault")), h("div", { class: "row" }, h("label", {}, t("machine"), " ", things), h("label", {}, t("demo.what"), " ", fault), h("label", {}, t("shelve.for"), " ", length)),
      h("div", { class: "actions" }, button("operator", t("demo.inject"), () => tools.ask("plant", { do: "inject", thing: things.value, fault: fault.value, for_s: Number(length.value) }), { class: "main" }))),
    h("section", { class: "panel" }, h("h3", {}, t("link.uplink")), h("div", { class: "row" }, act("cut"), act("restore"))),
    h("section", { class: "panel" }, h("h3", {}, t("page.models")), h("div", { class: "row" }, act("publish"))),
    h("section", { class: "panel" }, h("h3", {}, t("demo.sound")), h("div", { class: "row" }, player, h("button", { type: "button", onclick: () => {
      player.src = `api/sound?${Date.now()}`;
      player.play().catch(() => {}); // the error is told by its event
    } }, t("demo.play"))))));
  let shown = "";

  function draw(kinds) {
    if (kinds && !kinds.has("things")) return;
    const names = [...data.things.keys()].sort((a, b) => a.localeCompare(b, undefined, { numeric: true })).slice(0, 200);
    if (names.join() === shown) return;
    shown = names.join();
    const chosen = things.value;
    fill(things, names.map((n) => h("option", { value: n, selected: n === chosen }, n)));
  }

  return { draw, close: () => player.pause() };
}
