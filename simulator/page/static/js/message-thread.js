// The messages of one chat, kept up to date without moving what is being read.

import { arrange, el } from "./dom.js";
import { Lines } from "./lines.js";
import { gathered, get, listen, post } from "./wire.js";

const NEAR_PX = 120;

class MessageThread extends HTMLElement {
  #messages = new Map();
  #lines = new Lines();
  #wanted = new Set();
  #stop;

  connectedCallback() {
    this.chat = this.getAttribute("chat");
    this.newer = el("button", { type: "button", class: "newer", hidden: true, onclick: () => this.#toEnd() }, "New messages");
    this.list = el("div", { class: "scroller thread", role: "log", "aria-label": "Messages", tabindex: "0" });
    this.replaceChildren(this.list, this.newer);
    this.list.addEventListener("scroll", () => this.#scrolled());
    const refresh = gathered(() => this.#refresh(), 30);
    this.#stop = listen((kind, data) => {
      if (kind === "reset") this.#read("");
      if (data.chat !== this.chat) return;
      this.#wanted.add(data.wamid ?? "");
      refresh();
    });
    this.#read("").then(() => this.#toEnd());
  }

  disconnectedCallback() {
    this.#stop();
  }

  /** Fetch a page of the chat (`query` chooses which) and draw it; returns the page. */
  async #read(query, { older = false } = {}) {
    const page = await get(`chats/${this.chat}${query}`);
    if (!this.isConnected) return page;
    const known = new Map([...this.#messages]);
    if (older) this.#messages = new Map([...page.messages.map((one) => [one.wamid, one]), ...known]);
    else for (const one of page.messages) this.#messages.set(one.wamid, one);
    if (!query || older) this.earlier = page.earlier;
    page.fresh = page.messages.filter((one) => !known.has(one.wamid) && known.size && !older);
    this.dispatchEvent(new CustomEvent("thread:chat", { detail: page, bubbles: true }));
    arrange(this.list, this.#lines.of(this.#messages, page.fresh));
    if (page.unread) post("owner/read", { chat: this.chat });
    return page;
  }

  async #refresh() {
    const [only, ...more] = this.#wanted;
    this.#wanted.clear();
    const near = this.#nearEnd();
    const { fresh } = await this.#read(only && !more.length ? `?wamid=${encodeURIComponent(only)}` : "");
    if (near || fresh.some((one) => one.origin === "app")) this.#toEnd();
    else if (fresh.length) this.newer.hidden = false;
  }

  async #scrolled() {
    if (this.#nearEnd()) this.newer.hidden = true;
    if (this.list.scrollTop > NEAR_PX || !this.earlier || this.loading) return;
    this.loading = true;
    const below = this.list.scrollHeight - this.list.scrollTop;
    await this.#read(`?before=${encodeURIComponent([...this.#messages.keys()][0])}`, { older: true });
    this.list.scrollTop = this.list.scrollHeight - below;
    this.loading = false;
  }

  #nearEnd() {
    return this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < NEAR_PX;
  }

  #toEnd() {
    this.list.scrollTop = this.list.scrollHeight;
    this.newer.hidden = true;
  }
}

customElements.define("message-thread", MessageThread);
