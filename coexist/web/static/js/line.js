// One connection for server-sent events that is known to be alive: the server beats, and silence counts as a loss.
const SILENCE_MS = 40_000; // the server beats every 15 s
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 15_000;

export class Line {
  // `url(after)` is where to connect; `hear(name, event)` gets every event; `lost()` and `back()` tell of the line.
  constructor({ url, names, hear, lost, back }) {
    Object.assign(this, { url, names, hear, lost, back, failures: 0 });
  }

  get isOpen() {
    return Boolean(this.source) && this.source.readyState !== EventSource.CLOSED;
  }

  open(after = this.after) {
    this.close();
    this.after = after;
    const source = (this.source = new EventSource(this.url(after)));
    const listen = (name, act) => source.addEventListener(name, (event) => source === this.source && act(event));
    for (const name of ["message", ...this.names]) listen(name, (event) => (this.note(event), this.hear(name, event)));
    listen("ready", () => ((this.failures = 0), this.listenOn(), this.back()));
    listen("beat", () => this.listenOn());
    source.onerror = () => source === this.source && this.lose();
    this.listenOn();
  }

  close() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.silence);
    clearTimeout(this.again);
  }

  note(event) {
    if (event.lastEventId) this.after = event.lastEventId;
    this.listenOn();
  }

  listenOn() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.lose(), SILENCE_MS);
  }

  lose() {
    this.close();
    this.lost();
    const pause = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.failures++) * (0.7 + Math.random() * 0.6);
    this.again = setTimeout(() => this.retry(), pause);
  }

  // An EventSource does not say why it failed: a page that is signed out finds out here.
  async retry() {
    const answer = await fetch("/conversations/list?rows=0", { headers: { "HX-Request": "true" } }).catch(() => null);
    if (answer?.status === 401) location.assign("/sign-in");
    else if (!document.hidden) this.open();
  }
}
