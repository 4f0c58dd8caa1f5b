// The phone's settings: the platform, the history, people, faults, and what was delivered.

import "./delivery-log.js";
import "./fault-dials.js";
import "./template-list.js";
import { el, roundButton } from "./dom.js";
import { handOver } from "./hand-over.js";
import { peopleCard } from "./people-card.js";
import { gathered, get, listen, post } from "./wire.js";
import { timeCard } from "./time-card.js";
import { STATES } from "./words.js";

const SAYS = {
  none: "Nothing written here is heard anywhere else yet.",
  connected: "What is written here appears in the inbox, and the other way round.",
  offboarded: "Messages written now are lost to the platform.",
  removed: "The platform hears nothing more. A person must connect the number again.",
};

class SettingsView extends HTMLElement {
  #stop;

  connectedCallback() {
    this.setAttribute("role", "region");
    this.setAttribute("aria-label", "Settings");
    const back = () => this.dispatchEvent(new CustomEvent("phone:open", { detail: { screen: "list" }, bubbles: true }));
    this.top = el("div");
    this.replaceChildren(
      el("header", { class: "bar chat-bar" }, roundButton("back", "Back to the chats", back), el("h1", { class: "grow" }, "Settings")),
      el("div", { class: "scroller" }, this.top, timeCard(), el("template-list"), el("delivery-log"), el("fault-dials"), this.#over()),
    );
    const refresh = gathered(() => this.#load());
    this.#stop = listen((kind) => ["connection", "reset"].includes(kind) && refresh());
    this.#load();
  }

  disconnectedCallback() {
    this.#stop();
  }

  async #load() {
    const { connection, pace } = await get("state");
    if (!this.isConnected) return;
    const focused = document.activeElement?.dataset?.key;
    this.top.replaceChildren(this.#platform(connection), peopleCard(connection, pace));
    if (focused) this.top.querySelector(`[data-key="${focused}"]`)?.focus();
  }

  #platform({ state, reconnect_at }) {
    const button = (words, path, kind = "", then = () => {}, body = {}) =>
      el("button", { type: "button", class: `button ${kind}`, "data-key": words, onclick: async () => then(await post(path, body)) }, words);
    const buttons = {
      none: [button("Connect to a platform", "onboard", "strong", (made) => made && handOver(this, made))],
      connected: [button("Change phone", "change-phone"), button("Lose the phone", "change-phone", "", undefined, { reconnect_after_s: null }), button("Disconnect", "disconnect", "bad")],
      offboarded: [button("Reconnect now", "reconnect", "strong"), button("Disconnect", "disconnect", "bad")],
      removed: [button("Connect again", "onboard", "strong", (made) => made && handOver(this, made))],
    };
    return el("section", { class: "card" },
      el("h2", {}, "Platform"),
      el("p", { class: "now", "data-state": state, role: "status" }, el("span", { class: "dot" }), STATES[state]),
      el("p", {}, SAYS[state], reconnect_at && " It comes back by itself in a few seconds."),
      el("div", { class: "row" }, ...buttons[state]),
    );
  }

  #over() {
    const ask = () => confirm("Begin again? What was typed on this phone is lost.") && post("reset");
    return el("section", { class: "card" }, el("h2", {}, "Start over"), el("p", {}, "The shop and its chats as they were at first, and not connected. An inbox keeps what it has."),
      el("div", { class: "row" }, el("button", { type: "button", class: "button bad", onclick: ask }, "Begin again")));
  }
}

customElements.define("settings-view", SettingsView);
