// A list of any length: only the rows that are seen are elements.

import { h } from "./dom.js";

/** vlist makes a list. make() makes a row's element, draw(element, item, index) fills it. It returns {element, show(items)}. */
export function vlist({ label, make, draw }) {
  const space = h("div", { role: "presentation" });
  const element = h("div", { class: "vlist", role: "list", "aria-label": label, tabindex: "0" }, space);
  const rows = [];
  let items = [];
  let height = 40;
  function paint() {
    const first = Math.max(0, Math.floor(element.scrollTop / height) - 4);
    const count = Math.min(items.length - first, Math.ceil(element.clientHeight / height) + 8);
    while (rows.length < count) {
      const row = make();
      row.setAttribute("role", "listitem");
      rows.push(row);
      space.append(row);
    }
    rows.forEach((row, i) => {
      const at = first + i;
      row.hidden = i >= count;
      if (row.hidden) return;
      row.style.top = `${at * height}px`;
      row.setAttribute("aria-posinset", at + 1);
      row.setAttribute("aria-setsize", items.length);
      draw(row, items[at], at);
    });
    if (rows[0]?.offsetHeight && rows[0].offsetHeight !== height) {
      height = rows[0].offsetHeight;
      size();
      paint();
    }
  }
  function size() {
    space.style.height = `${items.length * height}px`;
    element.style.height = `${Math.min(items.length * height + 2, innerHeight * 0.7)}px`;
  }
  element.addEventListener("scroll", paint, { passive: true });
  return {
    element,
    show(next) {
      items = next;
      size();
      paint();
    },
  };
}
