// Who is at the page: a login where the page is served beyond this machine, a name of one's own choice where it is not.

import { fill, h } from "./dom.js";
import { t } from "./text.js";

/** session shows who acts, with a way to change that. */
export async function session(place) {
  const who = await (await fetch("api/session")).json().catch(() => ({}));
  document.body.dataset.role = who.role ?? ""; // style.css hides what the role may not do
  if (who.login) {
    fill(place, `${who.name} (${t(`role.${who.role}`)}) `, h("button", { type: "button", onclick: async () => {
      await fetch("api/logout", { method: "POST" });
      location.reload();
    } }, t("logout")));
    return;
  }
  const input = h("input", { type: "text", size: "10", maxlength: "60", placeholder: t("name"), "aria-label": t("name"), value: localStorage.getItem("name") ?? "" });
  input.addEventListener("change", () => localStorage.setItem("name", input.value.trim()));
  fill(place, input);
}

/** login asks for name and password, if there is no session, and calls back once there is one. */
export async function login(then) {
  const who = await fetch("api/session").then((r) => r.json()).catch(() => null);
  if (!who || !who.needed) { // the component is away: the stream is opened again by and by
    setTimeout(then, 3000);
    return;
  }
  if (document.querySelector("dialog.login")) return;
  const name = h("input", { name: "name", autocomplete: "username", required: true });
  const password = h("input", { name: "password", type: "password", autocomplete: "current-password", required: true });
  const problem = h("p", { role: "alert", class: "state bad" });
  const dialog = h("dialog", { class: "login", "aria-labelledby": "login-title" },
    h("form", { onsubmit: async (event) => {
      event.preventDefault();
      const response = await fetch("api/login", {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name: name.value, password: password.value }),
      }).catch(() => null);
      if (response?.ok) {
        dialog.close();
        dialog.remove();
        session(document.getElementById("who"));
        then();
        return;
      }
      fill(problem, response ? (await response.text()).trim() : t("banner.away"));
      password.value = "";
      password.focus();
    } }, h("h2", { id: "login-title" }, t("login")), h("label", {}, t("name"), name), h("label", {}, t("password"), password), problem,
    h("div", { class: "actions" }, h("button", { class: "main" }, t("login")))));
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  document.body.append(dialog);
  dialog.showModal();
}
