// One chat: who it is with, the messages, and the composer.

import "./chat-composer.js";
import "./message-thread.js";
import { openContact } from "./contact-sheet.js";
import { avatar, el, roundButton } from "./dom.js";

class ChatView extends HTMLElement {
  connectedCallback() {
    const chat = this.getAttribute("chat");
    this.setAttribute("role", "region");
    this.bar = el("header", { class: "bar chat-bar" });
    this.composer = el("chat-composer", { chat });
    this.addEventListener("thread:chat", (event) => this.#head(event.detail));
    this.replaceChildren(this.bar, el("message-thread", { chat }), this.composer);
  }

  #head(chat) {
    const { contact } = chat;
    const named = contact.username ? `@${contact.username}, number hidden` : "number hidden";
    const drawn = JSON.stringify([chat.name, contact]);
    this.composer.who = chat;
    if (this.drawn === drawn) return;
    this.drawn = drawn;
    this.setAttribute("aria-label", `Chat with ${chat.name}`);
    const back = () => this.dispatchEvent(new CustomEvent("phone:open", { detail: { screen: "list" }, bubbles: true }));
    const who = el("button", { type: "button", class: "who", "aria-label": `${chat.name}: contact` },
      avatar(chat.name, "small"),
      el("span", { class: "words" },
        el("strong", { class: "one-line" }, chat.name),
        el("span", { class: "quiet one-line" }, contact.shown_phone ? `+${contact.shown_phone}` : named),
      ),
    );
    who.addEventListener("click", () => openContact(this, chat));
    this.bar.replaceChildren(roundButton("back", "Back to the chats", back), who);
  }
}

customElements.define("chat-view", ChatView);
