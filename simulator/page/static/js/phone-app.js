// The phone: one screen at a time, and what lies over it.

import "./chat-list.js";
import "./chat-view.js";
import "./settings-view.js";
import { el } from "./dom.js";

const SAYING_MS = 5000;

class PhoneApp extends HTMLElement {
  connectedCallback() {
    this.addEventListener("phone:open", (event) => this.#open(event.detail));
    document.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("phone:say", (event) => this.#say(event.detail));
    addEventListener("popstate", () => this.#show(history.state ?? { screen: "list" }));
    this.#show(history.state ?? { screen: "list" });
  }

  /** Go to a screen: `{screen: "list" | "chat" | "settings", chat?}`. */
  #open(place) {
    history.pushState(place, "");
    this.#show(place);
  }

  #show(place) {
    const screen =
      place.screen === "chat" ? el("chat-view", { chat: place.chat })
      : place.screen === "settings" ? el("settings-view")
      : el("chat-list");
    screen.classList.add("screen");
    this.replaceChildren(screen);
  }

  #key(event) {
    if (event.key !== "Escape" || event.defaultPrevented || this.querySelector("chat-list")) return;
    this.#open({ screen: "list" });
  }

  #say(sentence) {
    this.querySelector(".toast")?.remove();
    const toast = el("p", { class: "toast", role: "status" }, sentence);
    this.append(toast);
    setTimeout(() => toast.remove(), SAYING_MS);
  }
}

customElements.define("phone-app", PhoneApp);
