// Builds elements. Texts of others become text nodes, never markup.

/** h makes an element: attributes, then children; a child that is no node becomes text. */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  add(element, children);
  return element;
}

function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** button makes a button that only a role sees: "operator", whom engineers are too, or "engineer". */
export const button = (needs, word, onclick, attributes) => h("button", { type: "button", "data-needs": needs, onclick, ...attributes }, word);

/** fill replaces an element's children. */
export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

/** write sets an element's text, if it is another one. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const svg = "http://www.w3.org/2000/svg";

const shapes = {
  high: "M8 1 15.5 15H.5Z", // triangle
  medium: "M8 .5 15.5 8 8 15.5 .5 8Z", // diamond
  low: "M8 1a7 7 0 1 0 .001 0Z", // circle
  none: "M5 7h6v2H5Z",
};

/** mark is a priority: shape, color and word. */
export function mark(priority, word) {
  const picture = document.createElementNS(svg, "svg");
  picture.setAttribute("viewBox", "0 0 16 16");
  picture.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(svg, "path");
  path.setAttribute("d", shapes[priority] ?? shapes.none);
  picture.append(path);
  return h("span", { class: `mark ${shapes[priority] ? priority : "none"}` }, picture, word);
}

/** width sets how wide an element is, in percent: by script, as the page allows no style in markup. */
export function width(element, percent, left) {
  element.style.width = `${Math.max(0, Math.min(100, percent))}%`;
  if (left !== undefined) element.style.left = `${Math.max(0, Math.min(100, left))}%`;
  return element;
}
