// What goes wrong on the way, by dial.

import { el } from "./dom.js";
import { dial, slider } from "./option.js";
import { gathered, get, listen, post } from "./wire.js";

const CHANCES = [
  ["duplicate", "Twice", "Meta delivers at least once"],
  ["reorder", "Out of order", "Meta promises no order"],
  ["split", "In pieces", "one webhook becomes several"],
  ["drop_then_retry", "Lost, then again", "the first attempt never arrives"],
  ["status_disorder", "Ticks out of order", "read before delivered"],
];
const SWITCHES = [
  ["placeholder_after_detail", "Media before their chunk", "in the history"],
  ["echo_api", "Echo what the platform sent", "Meta says never, some have seen it"],
  ["errors_async", "Refuse late", "a closed window fails by status"],
];
const ONCE = [
  ["Next send: too many to this user", { graph_error: { code: 131056 } }],
  ["Next send: Meta is down", { graph_error: { code: 131016 } }],
  ["Next send: no answer, but sent", { graph_timeout: { seconds: 30 } }],
];

class FaultDials extends HTMLElement {
  #stop;

  connectedCallback() {
    const refresh = gathered(() => this.#load());
    this.#stop = listen((kind) => ["connection", "reset"].includes(kind) && refresh());
    this.#load();
  }

  disconnectedCallback() {
    this.#stop();
  }

  async #load() {
    const { faults } = await get("state");
    const open = this.querySelector("details")?.open;
    const focused = document.activeElement?.dataset?.key;
    const turn = (name) => (value) => post("faults", { [name]: value });
    this.replaceChildren(
      el("section", { class: "card" },
        el("details", { open: Boolean(open) },
          el("summary", {}, "Let things go wrong"),
          ...CHANCES.map(([name, words, under]) => slider(name, words, under, faults[name], turn(name))),
          ...SWITCHES.map(([name, words, under]) => dial(name, words, under, faults[name], turn(name))),
          ...ONCE.map(([words, body]) => el("div", { class: "row" }, el("button", { type: "button", class: "button", onclick: () => post("faults", body) }, words))),
        ),
      ),
    );
    if (focused) this.querySelector(`[data-key="${focused}"]`)?.focus();
  }
}

customElements.define("fault-dials", FaultDials);
