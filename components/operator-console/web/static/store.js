// The picture of the plant, as the component's one stream tells it.

const kinds = ["things", "alarms", "places", "components", "models", "drifts", "comparisons", "history", "site"];

export const data = Object.fromEntries(kinds.map((kind) => [kind, new Map()]));
export const link = { open: false, since: Date.now() };

/** trend has the last scores of each machine: a short ring. */
const trendLength = 60;
export const trends = new Map();

const listeners = new Set();
let changed = new Set();
let planned = false;

/** listen calls back with the kinds that changed, at most once in a frame. It returns what ends that. */
export function listen(callback) {
  listeners.add(callback);
  return () => listeners.delete(callback);
}

function tell(...news) {
  for (const kind of news) changed.add(kind);
  if (planned) return;
  planned = true;
  // A page in the background has no frames; it is drawn when it is seen again.
  requestAnimationFrame(() => {
    planned = false;
    const told = changed;
    changed = new Set();
    for (const callback of [...listeners]) callback(told);
  });
}

function take(delta) {
  if (delta.reset) {
    for (const kind of kinds) data[kind].clear();
    trends.clear();
    changed = new Set(kinds);
  }
  for (const [kind, records] of Object.entries(delta.set ?? {})) {
    const of = data[kind];
    if (!of) continue;
    for (const [key, record] of Object.entries(records)) {
      of.set(key, record);
      if (kind === "things") remember(key, record.p);
    }
  }
  for (const [kind, keys] of Object.entries(delta.gone ?? {})) {
    for (const key of keys) data[kind]?.delete(key);
  }
  tell(...Object.keys(delta.set ?? {}), ...Object.keys(delta.gone ?? {}));
}

function remember(thing, score) {
  let t = trends.get(thing);
  if (!t) trends.set(thing, (t = { at: 0, length: 0, values: new Float32Array(trendLength) }));
  t.values[t.at] = score;
  t.at = (t.at + 1) % trendLength;
  t.length = Math.min(t.length + 1, trendLength);
}

/** trendOf returns the last scores of a machine, oldest first. */
export function trendOf(thing) {
  const t = trends.get(thing);
  if (!t) return [];
  return Array.from({ length: t.length }, (_, i) => t.values[(t.at - t.length + i + trendLength) % trendLength]);
}

const quietLimit = 40_000; // milliseconds without a word, pings included: the connection is gone, whatever the browser thinks
let source;
let heard = Date.now();

/** connect opens the stream. The browser opens it again by itself, with the id of the last event. */
export function connect(refused) {
  source = new EventSource("api/stream");
  heard = Date.now();
  source.onopen = () => set(true);
  source.onmessage = (event) => {
    set(true);
    take(JSON.parse(event.data));
  };
  source.addEventListener("ping", () => set(true));
  source.onerror = () => {
    set(false);
    if (source.readyState === EventSource.CLOSED) refused(); // a login is needed, or the component refuses
  };
}

function set(open) {
  if (open) heard = Date.now();
  if (link.open === open) return;
  Object.assign(link, { open, since: Date.now() });
  tell("link");
}

/** watch opens the stream again after the machine slept. */
export function watch(refused) {
  setInterval(() => {
    if (Date.now() - heard < quietLimit) return;
    source.close();
    set(false);
    connect(refused);
  }, 5000);
}

/** command gives a command, and returns {ok, text}. */
export async function command(to, message, by) {
  try {
    const response = await fetch("api/command", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ to, message, by }),
    });
    if (!response.ok) return { ok: false, text: (await response.text()).trim() || response.statusText };
    return await response.json();
  } catch (error) {
    return { ok: false, text: String(error.message ?? error) };
  }
}

/** get reads JSON; null where there is none. */
export async function get(path, parameters) {
  try {
    const response = await fetch(`${path}?${new URLSearchParams(parameters)}`);
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}
