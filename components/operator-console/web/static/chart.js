// A trend over time with its usual band.

import { h } from "./dom.js";
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
  const plot = new uPlot({
    title, ...size(), axes: [axis, { ...axis, size: 60 }], legend: { live: true },
    series: [{}, { label: title, stroke: color("--text"), width: 1.5 }, { label: "min", stroke: color("--bar"), width: 0.5 }, { label: "max", stroke: color("--bar"), width: 0.5 },
      { label: "5 %", stroke: color("--quiet"), dash: [4, 4], show: low !== undefined && low !== null }, { label: "95 %", stroke: color("--quiet"), dash: [4, 4], show: high !== undefined && high !== null },
      { label: "limit", stroke: color("--high"), dash: [6, 3], show: line !== undefined }],
    bands: [{ series: [5, 4], fill: color("--band") }],
  }, [times, values.mean, values.min, values.max, flat(low), flat(high), flat(line)], box);
  const observer = new ResizeObserver(() => plot.setSize(size()));
  observer.observe(box);
  return { close() { observer.disconnect(); plot.destroy(); box.remove(); } };
}
