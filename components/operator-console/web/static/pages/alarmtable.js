// Alarms as a table, and what people do about them.

import { button, fill, h, mark } from "../dom.js";
import { full, name as word, t, time } from "../text.js";
import { quiet, unacknowledged } from "../plant.js";

/** state is an alarm's state in words. */
export function state(a) {
  const words = [t(`alarmstate.${a.state}`)];
  if (a.chattering) words.push(t("chattering"));
  if (a.latched) words.push(t("latched"));
  if (a.shelved) words.push(t("shelved.until", { time: time(a.shelved.until) }));
  if (a.suppressed) words.push(t("suppressed"));
  if (a.out_of_service) words.push(t("outofservice"));
  return words.join(", ");
}

/** table shows alarms. chosen, if there is one, is the set of keys that are chosen; select is told when it changes. */
export function table(list, tools, chosen, select) {
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": t("table") }, h("table", { class: "cards" },
    h("thead", {}, h("tr", {}, chosen && h("th", { scope: "col" }, h("input", { type: "checkbox", "aria-label": t("select.all"), onchange: (event) => {
      for (const a of list) chosen[event.target.checked ? "add" : "delete"](key(a));
      select(true);
    } })), [t("priority"), t("machine"), t("alarm"), t("state"), t("raised"), t("actions")].map((x) => h("th", { scope: "col" }, x)))),
    h("tbody", {}, list.map((a) => h("tr", { class: unacknowledged(a) && !quiet(a) ? "fresh" : "", "data-key": key(a) },
      chosen && h("td", {}, h("input", { type: "checkbox", checked: chosen.has(key(a)), "aria-label": `${a.thing} ${a.fault}`, onchange: (event) => {
        chosen[event.target.checked ? "add" : "delete"](key(a));
        select(false);
      } })),
      h("td", { "data-label": t("priority") }, mark(quiet(a) ? "none" : a.priority, t(`priority.${a.priority ?? "low"}`))),
      h("td", { "data-label": t("machine") }, h("a", { href: `#/machine/${encodeURIComponent(a.thing)}` }, a.thing), a.line ? h("div", { class: "quiet" }, a.line) : ""),
      h("td", { "data-label": t("alarm") }, word("fault", a.fault), h("div", {}, a.text ?? ""), a.reasons?.length ? h("div", { class: "quiet" }, a.reasons.join("; ")) : ""),
      h("td", { "data-label": t("state") }, state(a), a.acknowledged ? h("div", { class: "quiet" }, [a.acknowledged.by, a.acknowledged.outcome && word("outcome", a.acknowledged.outcome), a.acknowledged.comment].filter(Boolean).join(", ")) : ""),
      h("td", { "data-label": t("raised"), title: full(a.raised) }, time(a.raised)),
      h("td", {}, h("div", { class: "row" },
        unacknowledged(a) && button("operator", t("acknowledge"), () => acknowledge([a], tools)),
        a.shelved ? button("operator", t("unshelve"), () => tools.ask("alarm", { do: "unshelve", alarms: keys([a]) })) :
          button("operator", t("shelve"), () => shelve([a], tools)),
        a.latched && button("engineer", t("reset"), () => tools.ask("alarm", { do: "reset", alarms: keys([a]) })))))))));
}

export const key = (a) => `${a.thing} ${a.fault}`;
const keys = (list) => list.map((a) => ({ thing: a.thing, fault: a.fault }));
const atOnce = 40; // alarms in a command: more would not fit into a message

/** each gives a command for alarms, some at a time. */
async function each(list, tools, message) {
  let ok = true;
  for (let i = 0; i < list.length; i += atOnce) ok = (await tools.ask("alarm", { ...message, alarms: keys(list.slice(i, i + atOnce)) })) && ok;
  return ok;
}

/** form asks in a dialog. fields are elements with names; done gets their values. */
export function form(title, what, fields, word, done) {
  const before = document.activeElement;
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" });
  const close = () => { dialog.close(); dialog.remove(); before?.focus?.(); };
  fill(dialog, h("form", { method: "dialog", onsubmit: async (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(event.target));
    close();
    await done(values);
  } }, h("h2", { id: "dialog-title" }, title), what && h("p", {}, what), fields,
  h("div", { class: "actions" }, h("button", { type: "button", onclick: close }, t("cancel")), h("button", { class: "main" }, word))));
  dialog.addEventListener("cancel", close);
  document.body.append(dialog);
  dialog.showModal();
}

const named = (list) => (list.length === 1 ? `${list[0].thing}: ${word("fault", list[0].fault)}` : t("alarms.n", { n: list.length }));
const comment = () => h("label", {}, t("comment"), h("input", { name: "comment", maxlength: "300" }));

/** acknowledge asks what was found. */
export function acknowledge(list, tools) {
  form(t("acknowledge"), named(list), [h("label", {}, t("outcome"), h("select", { name: "outcome" },
    h("option", { value: "" }, t("outcome.unknown")), ["confirmed", "no-fault-found", "planned"].map((o) => h("option", { value: o }, word("outcome", o))))), comment()],
  t("acknowledge"), (v) => each(list, tools, { do: "acknowledge", outcome: v.outcome || undefined, comment: v.comment || undefined }));
}

/** shelve asks for how long. */
export function shelve(list, tools) {
  form(t("shelve"), named(list), [h("label", {}, t("shelve.for"), h("select", { name: "for" }, ["15m", "1h", "4h", "8h", "24h"].map((d) => h("option", { value: d, selected: d === "1h" }, d)))), comment()],
    t("shelve"), (v) => each(list, tools, { do: "shelve", for: v.for, comment: v.comment || undefined }));
}

/** service asks why a machine or a line is taken out of service. */
export function service(place, tools) {
  form(t("outofservice"), place.thing ?? place.line, [comment()], t("outofservice"), (v) => tools.ask("alarm", { do: "out-of-service", ...place, comment: v.comment || undefined }));
}
