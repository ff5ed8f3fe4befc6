// A trend over time with its usual band.

import { h } from "./dom.js";
import { short, significant, t } from "./text.js";

const uPlot = globalThis.uPlot; // vendor/uPlot.js is no module

const given = (x) => x !== undefined && x !== null;

/** chart draws a series {mean, min, max} over times in seconds. low and high are the usual range, line a limit. */
export function chart(place, { title, times, values, low, high, line }) {
  const box = h("div", { class: "plot" });
  place.append(box);
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const flat = (value) => times.map(() => value);
  const axis = { stroke: color("--quiet"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line") } };
  const size = () => ({ width: Math.max(260, box.clientWidth), height: 200 });
  const long = times.at(-1) - times[0] > 36 * 3600;
  const moment = (at) => (given(at) ? short(at * 1000, long) : "–");
  const series = [{ label: t("time"), value: (_, at) => moment(at) }];
  const columns = [times];
  const bands = [];
  const put = (label, column, options) => {
    series.push({ label, points: { show: false }, value: (_, x) => significant(x), ...options });
    return columns.push(column) - 1;
  };
  // What is drawn first is below what follows.
  if (given(low) && given(high)) {
    const usual = { stroke: color("--quiet"), dash: [4, 4] };
    const from = put(t("usual.low"), flat(low), usual);
    bands.push({ series: [put(t("usual.high"), flat(high), usual), from], fill: color("--band") });
  }
  if (values.min.some((x, i) => x !== values.max[i])) {
    put("min", values.min, { stroke: color("--bar"), width: 1 });
    put("max", values.max, { stroke: color("--bar"), width: 1 });
  }
  put(title, values.mean, { stroke: color("--text"), width: 2 });
  if (given(line)) put(t("limit"), flat(line), { stroke: color("--high"), dash: [6, 3] });
  const plot = new uPlot({
    title, ...size(), series, bands, axes: [{ ...axis, space: 80, values: (_, splits) => splits.map(moment) }, { ...axis, size: 60, values: (_, splits) => splits.map(significant) }],
  }, columns, box);
  const observer = new ResizeObserver(() => plot.setSize(size()));
  observer.observe(box);
  return { close() { observer.disconnect(); plot.destroy(); box.remove(); } };
}
