// What Meta has delivered, with the answers it got.

import { arrange, el } from "./dom.js";
import { gathered, get, listen } from "./wire.js";
import { secondOf } from "./words.js";

const SHOWN = 30;
const NAMES = {
  messages: "Messages",
  smb_message_echoes: "Echo of the phone",
  history: "History",
  smb_app_state_sync: "Address book",
  account_update: "Account",
  message_template_status_update: "Template",
  message_template_quality_update: "Template",
  message_template_components_update: "Template",
  template_category_update: "Template",
};

class DeliveryLog extends HTMLElement {
  #stop;

  connectedCallback() {
    this.list = el("div");
    this.count = el("span", { class: "quiet" });
    this.replaceChildren(
      el("section", { class: "card" },
        el("details", { open: true }, el("summary", {}, "What Meta has delivered"), this.count, this.list),
      ),
    );
    const refresh = gathered(() => this.#load(), 200);
    this.#stop = listen((kind) => ["delivery", "reset"].includes(kind) && refresh());
    this.#load();
  }

  disconnectedCallback() {
    this.#stop();
  }

  async #load() {
    const [{ deliveries }, { pending }] = await Promise.all([get(`deliveries?n=${SHOWN}`), get("state")]);
    if (!this.isConnected) return;
    this.count.textContent = pending ? `${pending} waiting to be delivered` : deliveries.length ? "All delivered" : "Nothing since the stand-in started";
    arrange(this.list, deliveries.map((one) => this.#row(one)));
  }

  #row(one) {
    const last = one.attempts.at(-1);
    const code = last ? String(last.status || "no answer") : "waiting";
    const kind = !last ? "waiting" : last.status === 200 ? "" : "bad";
    const tries = one.attempts.length > 1 ? `, try ${one.attempts.length}` : "";
    const when = secondOf(last?.at ?? one.due);
    return el("div", { class: "delivery" },
      el("span", { class: `code ${kind}` }, code),
      el("span", { class: "what" }, el("b", {}, one.fields.map((name) => NAMES[name] ?? name).join(", ") || "Bare value"), el("span", {}, one.summary)),
      el("span", { class: "quiet" }, when + tries),
    );
  }
}

customElements.define("delivery-log", DeliveryLog);
