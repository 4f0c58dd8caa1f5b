// The one line to the server: bubbles are put in place, signals become events on <body>. It is the banner as well
// that says when the line is lost, and it comes back where it stopped.
const SIGNALS = ["list", "conversation", "inbox", "sync"];
const SILENCE_MS = 40_000; // the server beats every 15 s
const PATIENCE_MS = 2_500; // a line that is back sooner was never missed
const HIDDEN_MS = 60_000; // a browser has few connections: a page nobody sees gives its own back
const RETRY_MAX_MS = 15_000;
const RELOAD_PAUSE_MS = 10_000;

class LiveLine extends HTMLElement {
  connectedCallback() {
    this.failures = 0;
    this.follow = () => this.isCurrent() || this.open();
    document.body.addEventListener("htmx:after:swap", this.follow);
    document.addEventListener("visibilitychange", () => this.rest());
    addEventListener("online", () => this.open());
    addEventListener("pagehide", () => this.source?.close());
    if (this.talk) this.open();
  }

  get talk() {
    return document.getElementById("talk");
  }

  isCurrent() {
    return !this.talk || (this.source && this.watched === this.talk);
  }

  open() {
    if (this.watched !== this.talk) this.after = this.talk.dataset.after;
    this.watched = this.talk;
    const { conversation } = this.talk.dataset;
    this.source?.close();
    const source = new EventSource(`/live?after=${this.after}${conversation ? `&conversation=${conversation}` : ""}`);
    this.source = source;
    const listen = (name, act) => source.addEventListener(name, (event) => source === this.source && act(event));
    listen("ready", () => this.settle());
    listen("beat", () => this.listenOn());
    listen("reload", () => this.reload());
    listen("message", (event) => (this.note(event), htmx.swap({ text: event.data, sourceElement: this, target: this, swap: "none" })));
    for (const name of SIGNALS) listen(name, (event) => (this.note(event), htmx.trigger(document.body, name)));
    source.onerror = () => source === this.source && this.lose();
    this.listenOn();
  }

  note(event) {
    if (event.lastEventId) this.after = event.lastEventId;
    this.listenOn();
  }

  settle() {
    this.failures = 0;
    clearTimeout(this.banner);
    this.banner = undefined;
    this.hidden = true;
    this.listenOn();
  }

  listenOn() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.lose(), SILENCE_MS);
  }

  lose() {
    this.source?.close();
    this.banner ??= setTimeout(() => (this.hidden = false), PATIENCE_MS);
    clearTimeout(this.again);
    const pause = Math.min(RETRY_MAX_MS, 500 * 2 ** this.failures++) * (0.7 + Math.random() * 0.6);
    this.again = setTimeout(() => this.retry(), pause);
  }

  // An EventSource does not say why it failed: a page that is signed out finds out here.
  async retry() {
    const answer = await fetch("/conversations/list?rows=0", { headers: { "HX-Request": "true" } }).catch(() => null);
    if (answer?.status === 401) return location.assign("/sign-in");
    if (!document.hidden) this.open();
  }

  rest() {
    clearTimeout(this.resting);
    if (document.hidden) this.resting = setTimeout(() => (this.source?.close(), (this.source = null), clearTimeout(this.silence)), HIDDEN_MS);
    else if (!this.source || this.source.readyState === EventSource.CLOSED) this.open();
  }

  reload() {
    const last = Number(sessionStorage.getItem("reloaded"));
    this.source.close();
    if (Date.now() - last < RELOAD_PAUSE_MS) return this.lose();
    sessionStorage.setItem("reloaded", Date.now());
    location.reload();
  }
}

customElements.define("live-line", LiveLine);
