// The list of chats, newest first.

import "./first-card.js";
import { avatar, el, icon, roundButton } from "./dom.js";
import { gathered, get, listen, post } from "./wire.js";
import { STATES, inShort, listTime, tickOf } from "./words.js";

class ChatList extends HTMLElement {
  #stop;

  connectedCallback() {
    this.setAttribute("role", "region");
    this.setAttribute("aria-label", "Chats");
    const go = (place) => this.dispatchEvent(new CustomEvent("phone:open", { detail: place, bubbles: true }));
    this.go = go;
    this.replaceChildren(
      el("header", { class: "bar" },
        el("div", { class: "grow" }, el("h1", {}, "Jardim Verde"), el("p", { class: "quiet" }, "+55 11 98550-0101")),
        roundButton("userPlus", "A new customer writes", () => this.#newcomer()),
        roundButton("gear", "Settings", () => go({ screen: "settings" })),
      ),
      el("button", { type: "button", class: "state-line", onclick: () => go({ screen: "settings" }) }),
      el("div", { class: "scroller" }, el("first-card"), el("ul", { class: "chats" })),
    );
    const refresh = gathered(() => this.#load());
    this.#stop = listen((kind) => kind !== "delivery" && kind !== "refused" && refresh());
    this.#load();
  }

  disconnectedCallback() {
    this.#stop();
  }

  async #load() {
    const [{ chats }, { connection }] = await Promise.all([get("chats"), get("state")]);
    if (!this.isConnected) return;
    const line = this.querySelector(".state-line");
    line.dataset.state = this.querySelector("first-card").dataset.state = connection.state;
    line.replaceChildren(el("span", { class: "dot" }), STATES[connection.state]);
    const focused = document.activeElement?.dataset?.chat;
    this.querySelector(".chats").replaceChildren(...chats.filter((chat) => chat.last).map((chat) => this.#row(chat)));
    if (focused) this.querySelector(`[data-chat="${focused}"]`)?.focus();
  }

  #row(chat) {
    const { last, name, unread } = chat;
    const [kind, words] = inShort(last);
    const [tick, state] = tickOf(last.status);
    const marks = [];
    if (last.origin === "api") marks.push(el("span", { class: "mark-api" }, icon("platform", "Sent by the platform")));
    if (last.direction === "outbound" && !last.revoked_at) marks.push(icon(tick, state));
    if (kind) marks.push(icon(kind));
    return el("li", {},
      el("button", { type: "button", class: `chat-row ${unread ? "unread" : ""}`, "data-chat": chat.chat, onclick: () => this.go({ screen: "chat", chat: chat.chat }) },
        avatar(name),
        el("span", { class: "words" },
          el("span", { class: "top" }, el("span", { class: "name one-line" }, name), el("span", { class: "time" }, listTime(last.timestamp))),
          el("span", { class: "below" },
            el("span", { class: "preview" }, ...marks, el("span", { class: "one-line" }, words)),
            unread ? el("span", { class: "count", "aria-label": `${unread} unread` }, String(unread)) : null,
          ),
        ),
      ),
    );
  }

  async #newcomer() {
    const made = await post("new-customer");
    if (made) this.go({ screen: "chat", chat: made.chat });
  }
}

customElements.define("chat-list", ChatList);
