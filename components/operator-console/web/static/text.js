// Texts of the page's language, and numbers and times as people read them there.

import { data } from "./store.js";

export const languages = { en: "English", de: "Deutsch" };
let texts = {};
export let language = "en";

/** load reads the texts of a language; without one that of the site, else the browser's. */
export async function load(wanted) {
  const choice = [wanted, ...navigator.languages].map((name) => (name ?? "").slice(0, 2)).find((name) => languages[name]);
  language = choice ?? "en";
  texts = await (await fetch(`lang/${language}.json`)).json();
  document.documentElement.lang = language;
}

/** t is a text by its key, with {name} filled in. */
export function t(key, values = {}) {
  const text = texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** has says whether there is such a text. */
export const has = (key) => key in texts;

/** name is a word of the suite in people's language: t(prefix.word), else the word. */
export const name = (prefix, word) => (has(`${prefix}.${word}`) ? t(`${prefix}.${word}`) : word);

const zone = () => data.site.get("site")?.zone || undefined;
const formats = new Map();

function format(kind, options) {
  const key = `${language} ${zone()} ${kind}`;
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(language, { ...options, timeZone: zone() }));
  return formats.get(key);
}

/** time is a time of day in the site's zone, with the date where it is not today. */
export function time(value) {
  const at = new Date(value);
  if (!value || Number.isNaN(at.valueOf()) || at.getFullYear() < 2000) return "–";
  const day = format("day", { dateStyle: "short" });
  const clock = format("clock", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }).format(at);
  return day.format(at) === day.format(new Date()) ? clock : `${day.format(at)} ${clock}`;
}

/** short is a time on an axis: of day, or with the date where the axis is long. */
export const short = (value, long) => format(long ? "axis-long" : "axis", long ? { month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23" } :
  { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(new Date(value));

/** full is a time with date and offset. */
export function full(value) {
  const at = new Date(value);
  if (!value || Number.isNaN(at.valueOf()) || at.getFullYear() < 2000) return "–";
  return format("full", { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZoneName: "longOffset" }).format(at);
}

/** clock is now, in the site's zone with its offset. */
export const clock = () => format("now", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZoneName: "shortOffset" }).format(new Date());

/** number is a number with so many decimals at most. */
export function number(value, decimals = 1) {
  if (value === undefined || value === null || Number.isNaN(value)) return "–";
  return new Intl.NumberFormat(language, { maximumFractionDigits: decimals }).format(value);
}

/** significant is a measured value, with four digits. */
export function significant(value) {
  if (value === undefined || value === null || Number.isNaN(value)) return "–";
  return new Intl.NumberFormat(language, { maximumSignificantDigits: 4 }).format(value);
}

export const percent = (share, decimals = 0) => (share === undefined || share === null ? "–" : `${number(share * 100, decimals)} %`);

/** lasts is how long something has lasted: two units at most. */
export function lasts(milliseconds) {
  const s = Math.max(0, Math.round(milliseconds / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** life is a remaining life in words. */
export function life(l) {
  if (!l) return "–";
  const unit = name("unit", l.unit);
  if (l.beyond && l.low >= l.high) return t("life.more", { low: number(l.low, 0), unit });
  return l.beyond ? t("life.beyond", { low: number(l.low, 0), unit }) : t("life.between", { low: number(l.low, 0), high: number(l.high, 0), unit });
}

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  for (; count >= 1000 && i < units.length - 1; i++) count /= 1000;
  return `${number(count, i ? 1 : 0)} ${units[i]}`;
}
