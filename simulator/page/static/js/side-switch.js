// Whose side is played, and a line that says it.

import { el, icon } from "./dom.js";

class SideSwitch extends HTMLElement {
  connectedCallback() {
    const turn = (side) => () => this.dispatchEvent(new CustomEvent("side:turn", { detail: side }));
    this.owner = el("button", { type: "button", onclick: turn("owner") }, "Write as the shop");
    this.customer = el("button", { type: "button", class: "one-line", onclick: turn("customer") });
    this.hint = el("p", { class: "hint", role: "status" });
    this.replaceChildren(
      el("div", { class: "segments", role: "group", "aria-label": "Whose side" }, this.owner, this.customer),
      this.hint,
    );
  }

  /** Show the side `owner` or `customer`, whose first name is `first`. */
  show(side, first) {
    const owner = side === "owner";
    this.owner.setAttribute("aria-pressed", String(owner));
    this.customer.setAttribute("aria-pressed", String(!owner));
    this.customer.textContent = `As ${first}`;
    const words = owner ? "You are the owner typing on the phone" : `You write as ${first}`;
    if (this.said === words) return;
    this.said = words;
    this.hint.replaceChildren(icon(owner ? "phone" : "user"), words);
  }
}

customElements.define("side-switch", SideSwitch);
