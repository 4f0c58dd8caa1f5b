// What the server tells of: bubbles are put in place, signals become events on <body>. The element is the banner that
// says when the line is lost; it comes back where it stopped.
import { Line } from "./line.js";

const SIGNALS = ["list", "conversation", "inbox", "sync", "quarantine", "reload"];
const PATIENCE_MS = 2_500; // a line that is back sooner was never missed
const HIDDEN_MS = 60_000; // a browser has few connections: a page nobody sees gives its own back
const RELOAD_PAUSE_MS = 10_000;

class LiveLine extends HTMLElement {
  connectedCallback() {
    this.line = new Line({
      url: (after) => `/live?after=${after}${this.conversation ? `&conversation=${this.conversation}` : ""}`,
      names: SIGNALS,
      hear: (name, event) => this.hear(name, event),
      lost: () => (this.banner ??= setTimeout(() => (this.hidden = false), PATIENCE_MS)),
      back: () => this.settle(),
    });
    document.body.addEventListener("htmx:after:swap", () => this.follow());
    document.addEventListener("visibilitychange", () => this.rest());
    addEventListener("online", () => this.line.open());
    addEventListener("pagehide", () => this.line.close());
    addEventListener("pageshow", (event) => event.persisted && this.line.open());
    this.follow();
  }

  // Another conversation on the page needs another line, from where that conversation was read.
  follow() {
    const talk = document.getElementById("talk");
    if (!talk || talk === this.talk) return;
    this.talk = talk;
    this.conversation = talk.dataset.conversation;
    this.line.open(talk.dataset.after);
  }

  hear(name, event) {
    if (name === "reload") this.reload();
    else if (name !== "message") htmx.trigger(document.body, name);
    else htmx.swap({ text: event.data, sourceElement: this, target: this, swap: "none" });
  }

  settle() {
    clearTimeout(this.banner);
    this.banner = undefined;
    this.hidden = true;
  }

  rest() {
    clearTimeout(this.resting);
    if (document.hidden) this.resting = setTimeout(() => this.line.close(), HIDDEN_MS);
    else if (!this.line.isOpen) this.line.open();
  }

  reload() {
    const last = Number(sessionStorage.getItem("reloaded"));
    if (Date.now() - last < RELOAD_PAUSE_MS) return this.line.lose();
    sessionStorage.setItem("reloaded", Date.now());
    location.reload();
  }
}

customElements.define("live-line", LiveLine);
