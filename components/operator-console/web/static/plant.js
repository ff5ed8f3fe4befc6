// What the pages ask of the picture.

import { data } from "./store.js";
import { language } from "./text.js";

const rank = { high: 0, medium: 1, low: 2 };

/** stands says whether an alarm is to be seen as one: active, or nobody has acknowledged it. */
export const stands = (a) => (a.active || a.state !== "NORMAL") && !a.suppressed;
export const quiet = (a) => Boolean(a.shelved || a.out_of_service || a.suppressed);
export const unacknowledged = (a) => a.state === "UNACKNOWLEDGED" || a.state === "RETURNED_UNACKNOWLEDGED";

/** urgency orders alarms: by priority, unacknowledged first, newest first; what is quiet is last. */
export function urgency(a) {
  return (quiet(a) ? 100 : 0) + (a.active ? 0 : 10) + (rank[a.priority] ?? 2) * 2 + (unacknowledged(a) ? 0 : 1);
}

export function alarms() {
  return [...data.alarms.values()].filter((a) => a.state !== "NORMAL" || a.active || a.shelved)
    .sort((a, b) => urgency(a) - urgency(b) || String(b.raised ?? "").localeCompare(String(a.raised ?? "")));
}

/** worst returns the worst alarm of each machine that is not quiet. */
export function worst() {
  const by = new Map();
  for (const a of data.alarms.values()) {
    if (!stands(a) || quiet(a)) continue;
    const other = by.get(a.thing);
    if (!other || urgency(a) < urgency(other)) by.set(a.thing, a);
  }
  return by;
}

const silentAfter = 60_000; // milliseconds, for the mark on the page; the alarm is the alarm manager's
export const silent = (thing, now = Date.now()) => now - thing.a > silentAfter;

/** machines are all, the most urgent first. */
export function machines() {
  const alarmOf = worst();
  const now = Date.now();
  return [...data.things].map(([name, thing]) => ({ name, thing, alarm: alarmOf.get(name), silent: silent(thing, now) })).sort((a, b) =>
    (a.alarm ? urgency(a.alarm) : 50) - (b.alarm ? urgency(b.alarm) : 50) || (b.thing.b === "F") - (a.thing.b === "F") || b.thing.p - a.thing.p ||
    a.name.localeCompare(b.name, undefined, { numeric: true }));
}

/** called is what people call a sensor or a reason. */
export const called = (c) => c.names?.[language] ?? c.name ?? c.sensor;
