// On a narrow screen: the phone or the inbox.

import { el } from "./dom.js";

class DemoSwitch extends HTMLElement {
  connectedCallback() {
    const sides = { phone: "Phone", inbox: "Inbox" };
    const buttons = Object.entries(sides).map(([side, words]) =>
      el("button", { type: "button", "data-to": side, onclick: () => this.#turn(side) }, words),
    );
    this.replaceChildren(el("div", { class: "segments", role: "group", "aria-label": "Which place" }, ...buttons));
    this.#turn("phone");
  }

  #turn(side) {
    document.body.dataset.side = side;
    for (const button of this.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.to === side));
  }
}

customElements.define("demo-switch", DemoSwitch);
