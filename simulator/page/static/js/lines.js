// The lines of a thread: bubbles and day separators, each made anew only when it changed.

import { bubble } from "./bubble.js";
import { el } from "./dom.js";
import { dayOf } from "./words.js";

export class Lines {
  #kept = new Map();

  /** Elements for `messages` (by wamid, in order); those among `fresh` slide in. */
  of(messages, fresh) {
    if (!messages.size) return [el("p", { class: "empty" }, "Nothing here yet. Write first, or let the customer.")];
    const lines = [];
    let before;
    for (const one of messages.values()) {
      const day = dayOf(one.timestamp);
      if (!before || dayOf(before.timestamp) !== day) lines.push(this.#node(`day ${day}`, day, () => separator(day)));
      const quoted = messages.get(one.reply_to);
      const first = before?.origin !== one.origin;
      const drawn = JSON.stringify([one, quoted?.text, quoted?.revoked_at, first]);
      lines.push(this.#node(one.wamid, drawn, () => bubble(one, { first, fresh: fresh.includes(one), quoted })));
      before = one;
    }
    return lines;
  }

  #node(key, drawn, make) {
    if (this.#kept.get(key)?.drawn !== drawn) this.#kept.set(key, { drawn, node: make() });
    return this.#kept.get(key).node;
  }
}

function separator(day) {
  return el("div", { class: "day" }, el("span", {}, day));
}
