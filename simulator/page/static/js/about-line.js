// The message one replies to or edits, above the composer.

import { el, roundButton } from "./dom.js";
import { inShort } from "./words.js";

class AboutLine extends HTMLElement {
  /** Show that the next text is a `reply` to a message or an `edit` of it. */
  show(kind, message) {
    this.kind = kind;
    this.message = message;
    const words = kind === "edit" ? "Editing" : `Reply to: ${inShort(message)[1]}`;
    const leave = roundButton("close", "Leave it", () => this.leave());
    this.replaceChildren(el("div", { class: "about" }, el("span", { class: "one-line" }, words), leave));
  }

  /** The message, if it is here for that. */
  of(kind) {
    return this.kind === kind ? this.message : undefined;
  }

  leave() {
    if (!this.message) return;
    const { kind } = this;
    this.kind = this.message = undefined;
    this.replaceChildren();
    this.dispatchEvent(new CustomEvent("about:left", { detail: kind }));
  }
}

customElements.define("about-line", AboutLine);
