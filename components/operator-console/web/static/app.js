// The page: it opens the stream, shows the page of the address, and draws it again when its part of the picture changes.

import { fill, h, mark, write } from "./dom.js";
import { command, connect, data, link, listen, watch } from "./store.js";
import { clock, language, languages, load, t, time } from "./text.js";
import { alarms, quiet, unacknowledged } from "./plant.js";
import { login, session } from "./login.js";
import * as overview from "./pages/overview.js";
import * as machine from "./pages/machine.js";
import * as alarmPage from "./pages/alarms.js";
import * as models from "./pages/models.js";
import * as linkPage from "./pages/link.js";
import * as health from "./pages/health.js";
import * as demo from "./pages/demo.js";

const pages = { "": overview, machine, alarms: alarmPage, models, link: linkPage, health, demo };
const menu = ["", "alarms", "models", "link", "health"];
const $ = (id) => document.getElementById(id);
let shown; // the page that is shown: {draw(kinds), close()}

function address() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  return { name: pages[name] ? name : "", argument: decodeURIComponent(rest.join("/")) };
}

function show() {
  const { name, argument } = address();
  shown?.close?.();
  const main = $("main");
  shown = pages[name].open(main, argument, { say, ask: give });
  shown.draw(null);
  current();
  document.title = `${argument || t(`page.${name || "overview"}`)} – edgepdm`;
}

/** current marks the page in the menu. */
function current() {
  const { name } = address();
  for (const link of $("nav").children) {
    if (link.dataset.page === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** say shows an outcome for some seconds. */
function say(text, bad) {
  const note = h("div", { class: bad ? "bad" : "" }, text);
  $("toast").append(note);
  setTimeout(() => note.remove(), bad ? 15000 : 6000);
}

/** give gives a command and says what came of it. */
async function give(to, message) {
  const answer = await command(to, message, localStorage.getItem("name") ?? "");
  say(answer.text || t("done"), !answer.ok);
  return answer.ok;
}

function chrome() {
  fill($("nav"), (data.site.get("site")?.demo ? [...menu, "demo"] : menu).map((name) => h("a", { href: `#/${name}`, "data-page": name }, t(`page.${name || "overview"}`))));
  write($("skip"), t("skip"));
  $("skip").onclick = (event) => { // its address would be another page
    event.preventDefault();
    $("main").focus();
  };
  fill($("language"), Object.entries(languages).map(([code, label]) => h("option", { value: code, selected: code === language }, label)));
  $("language").onchange = async (event) => {
    localStorage.setItem("language", event.target.value);
    await load(event.target.value);
    chrome();
    show();
  };
  const themes = ["auto", "light", "dark"];
  const theme = () => localStorage.getItem("theme") ?? "auto";
  const draw = () => {
    document.documentElement.dataset.theme = theme();
    write($("theme"), t(`theme.${theme()}`));
    $("theme").setAttribute("aria-label", `${t("theme")}: ${t(`theme.${theme()}`)}`);
  };
  $("theme").onclick = () => {
    localStorage.setItem("theme", themes[(themes.indexOf(theme()) + 1) % themes.length]);
    draw();
    shown?.draw(null);
  };
  draw();
  session($("who"));
}

function frame(kinds) {
  const site = data.site.get("site");
  write($("site"), site?.core ?? "");
  const banner = $("banner");
  banner.hidden = link.open;
  if (!link.open) write(banner, t("banner.lost", { time: time(link.since) }));
  if (!kinds || kinds.has("alarms") || kinds.has("link")) bar();
}

/** bar is the line of the most urgent alarm that nobody has acknowledged, on each page. */
function bar() {
  const open = alarms().filter((a) => unacknowledged(a) && !quiet(a));
  const first = open[0];
  fill($("alarmbar"), first && h("a", { href: "#/alarms", class: "panel row alarmline" },
    mark(first.priority, t(`priority.${first.priority}`)), h("span", { class: "grow" }, first.text || `${first.thing}: ${first.fault}`),
    h("span", { class: "quiet" }, time(first.raised)), open.length > 1 && h("span", { class: "quiet" }, t("more", { n: open.length - 1 }))));
}

async function start() {
  await load(localStorage.getItem("language"));
  chrome();
  listen((kinds) => {
    if (kinds.has("site") && !localStorage.getItem("language") && data.site.get("site")?.language && data.site.get("site").language !== language) {
      load(data.site.get("site").language).then(() => { chrome(); show(); });
    }
    if (kinds.has("site")) { // the zone, and whether there is a demo
      chrome();
      current();
      write($("clock"), clock());
    }
    frame(kinds);
    shown?.draw(kinds);
  });
  addEventListener("hashchange", () => { show(); $("main").focus(); });
  const refused = () => login(() => connect(refused));
  connect(refused);
  watch(refused);
  write($("clock"), clock());
  setInterval(() => {
    write($("clock"), clock());
    if (!link.open) frame(null);
    shown?.tick?.();
  }, 1000);
  show();
}

start();
