// A trend over time with its usual band.

import { h } from "./dom.js";
import { t } from "./text.js";
import uPlot from "./vendor/uPlot.js";

/** chart draws a series {mean, min, max} over times in seconds. low and high are the usual range, line a limit. */
export function chart(place, { title, times, values, low, high, line }) {
  const box = h("div", { class: "plot" });
  place.append(box);
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const flat = (value) => times.map(() => value ?? null);
  const axis = { stroke: color("--quiet"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line") } };
  const size = () => ({ width: Math.max(260, box.clientWidth), height: 200 });
  const series = [{}, { label: title, stroke: color("--text"), width: 1.5 }];
  const columns = [times, values.mean];
  const bands = [];
  const put = (label, column, options) => {
    series.push({ label, ...options });
    return columns.push(column) - 1;
  };
  if (values.min.some((x, i) => x !== values.max[i])) {
    put("min", values.min, { stroke: color("--bar"), width: 0.5 });
    put("max", values.max, { stroke: color("--bar"), width: 0.5 });
  }
  const given = (x) => x !== undefined && x !== null;
  if (given(low) && given(high)) {
    const usual = { stroke: color("--quiet"), dash: [4, 4] };
    const from = put(t("usual.low"), flat(low), usual);
    bands.push({ series: [put(t("usual.high"), flat(high), usual), from], fill: color("--band") });
  }
  if (given(line)) put(t("limit"), flat(line), { stroke: color("--high"), dash: [6, 3] });
  const plot = new uPlot({ title, ...size(), axes: [axis, { ...axis, size: 60 }], series, bands }, columns, box);
  const observer = new ResizeObserver(() => plot.setSize(size()));
  observer.observe(box);
  return { close() { observer.disconnect(); plot.destroy(); box.remove(); } };
}
