// Writing, as the owner or as the customer.

import "./about-line.js";
import "./side-switch.js";
import { openAttach } from "./attach-sheet.js";
import { el, icon, roundButton } from "./dom.js";
import { post } from "./wire.js";

class ChatComposer extends HTMLElement {
  side = "owner";
  #chat;

  connectedCallback() {
    this.switch = el("side-switch");
    this.switch.addEventListener("side:turn", (event) => this.#turn(event.detail));
    this.text = el("textarea", { rows: "1", "aria-label": "Message", enterkeyhint: "send", onkeydown: (event) => this.#key(event) });
    this.about = el("about-line");
    this.about.addEventListener("about:left", (event) => event.detail === "edit" && (this.text.value = ""));
    this.replaceChildren(
      this.switch, this.about,
      el("form", { class: "entry", onsubmit: (event) => this.#send(event) },
        roundButton("plus", "Attach", () => openAttach(this, (draft) => this.#attach(draft))),
        this.text,
        el("button", { class: "round send", "aria-label": "Send", title: "Send" }, icon("send")),
      ),
    );
    this.#turn("owner");
  }

  set who(chat) {
    this.#chat = chat;
    this.#turn(this.side);
  }

  /** Start a `reply` to a message, or an `edit` of it. */
  begin(kind, message) {
    this.about.show(kind, message);
    if (kind === "edit") this.text.value = message.text;
    this.text.focus();
  }

  #turn(side) {
    const first = this.#chat?.name.split(" ")[0] ?? "the customer";
    if (side !== this.side) this.about.leave();
    this.side = this.dataset.side = side;
    this.switch.show(side, first);
    this.text.placeholder = side === "owner" ? `To ${first}` : "To Jardim Verde";
  }

  #key(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) this.#send(event);
    if (event.key !== "Escape" || !this.about.message) return;
    event.preventDefault();
    this.about.leave();
  }

  async #send(event) {
    event.preventDefault();
    const text = this.text.value.trim();
    if (!text) return;
    const edited = this.about.of("edit");
    const done = edited ? await post(`${this.side}/edit`, { message: edited.wamid, text }) : await this.#post({ text });
    if (!done) return;
    this.text.value = "";
    this.about.leave();
  }

  async #attach(draft) {
    if (await this.#post(draft)) this.about.leave();
  }

  #post(draft) {
    const body = { chat: this.#chat.chat, ...draft, reply_to: this.about.of("reply")?.wamid };
    return post(`${this.side}/send`, body);
  }
}

customElements.define("chat-composer", ChatComposer);
