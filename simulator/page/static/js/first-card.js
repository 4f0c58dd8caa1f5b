// What to try first, until it is put away.

import { el } from "./dom.js";

const KEPT = "simulator.first-card";

class FirstCard extends HTMLElement {
  connectedCallback() {
    if (localStorage.getItem(KEPT)) return;
    this.replaceChildren(
      el("section", { class: "first-card", "aria-label": "What to try" },
        el("h2", {}, "This is the shop's phone. Try:"),
        el("ol", {},
          el("li", { class: "at-first" }, "In the inbox press “Connect WhatsApp”: Meta's window is played here, too."),
          el("li", {}, "Open a chat and type as the owner. It appears in the inbox."),
          el("li", {}, "Switch to the customer's side and answer."),
          el("li", {}, "Reply from the inbox, then edit, delete or react here."),
        ),
        el("button", { type: "button", class: "button", onclick: () => this.#putAway() }, "Got it"),
      ),
    );
  }

  #putAway() {
    localStorage.setItem(KEPT, "seen");
    this.replaceChildren();
    this.closest("chat-list")?.querySelector(".chat-row")?.focus();
  }
}

customElements.define("first-card", FirstCard);
