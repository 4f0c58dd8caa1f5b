// The shop's message templates at Meta, each with what can happen to it.

import { el } from "./dom.js";
import { templateDials } from "./template-dials.js";
import { openTemplate } from "./template-sheet.js";
import { gathered, get, listen } from "./wire.js";
import { statusOf } from "./words.js";

const SHOWN = 40;
const FILTER_FROM = 20;

class TemplateList extends HTMLElement {
  #stop;
  #wanted = "";
  #open = false;

  connectedCallback() {
    const refresh = gathered(() => this.#load());
    this.#stop = listen((kind) => ["template", "connection", "reset"].includes(kind) && refresh());
    this.#load();
  }

  disconnectedCallback() {
    this.#stop();
  }

  async #load() {
    const [{ templates }, { faults }] = await Promise.all([get("templates"), get("state")]);
    if (!this.isConnected) return;
    const focused = document.activeElement?.dataset?.key;
    const rows = el("div");
    const draw = () => rows.replaceChildren(...this.#rows(templates));
    draw();
    const find = (event) => {
      this.#wanted = event.target.value.toLowerCase();
      draw();
    };
    const details = el("details", { open: this.#open, ontoggle: (event) => (this.#open = event.target.open) },
      el("summary", {}, "Message templates"),
      templates.length > FILTER_FROM ? el("input", { type: "search", class: "find", value: this.#wanted, placeholder: `Find one of ${templates.length}`, "aria-label": "Find a template", "data-key": "find", oninput: find }) : null,
      rows,
      ...templateDials(faults),
    );
    this.replaceChildren(el("section", { class: "card" }, details));
    if (focused) this.querySelector(`[data-key="${focused}"]`)?.focus();
  }

  #rows(templates) {
    const found = templates.filter((one) => one.name.includes(this.#wanted));
    const rows = found.slice(0, SHOWN).map((one) => this.#row(one));
    if (found.length > SHOWN) rows.push(el("p", { class: "quiet" }, `and ${found.length - SHOWN} more: find them by their names`));
    return rows.length ? rows : [el("p", { class: "quiet" }, "None of that name")];
  }

  #row(one) {
    const [kind, words] = statusOf(one.status);
    return el("button", { type: "button", class: "option", "data-key": one.id, onclick: () => openTemplate(this, one) },
      el("span", { class: "words" }, el("span", { class: "one-line" }, one.name), el("small", {}, `${one.language}, ${one.category.toLowerCase()}`)),
      el("span", { class: `chip ${kind}` }, words),
    );
  }
}

customElements.define("template-list", TemplateList);
