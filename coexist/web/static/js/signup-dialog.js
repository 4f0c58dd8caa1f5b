// Opens Meta's sign-up window and tells the server at once what comes of it. What the window says is believed from
// Meta's site alone, and even then proves nothing: the server asks Meta.
import { isFrom, load, openFor, openingOf } from "./signup-sdk.js";

const [META, TYPE] = ["https://facebook.com", "WA_EMBEDDED_SIGNUP"];
const LOADING = "Meta's window is still being loaded. Try again in a moment.";
const NOT_SENT = "The server cannot be reached. Load this page again: what was done is kept.";
const AGAIN = "The server cannot be reached for the moment. Leave this page open: it tries again.";
const [TRIES, PAUSE_MS] = [12, 2_000];

class SignupDialog extends HTMLElement {
  isMeta = (origin) => isFrom(origin, this.dataset.site ?? META);
  connectedCallback() {
    Object.assign(this, { asked: 0, shown: Promise.resolve(), trouble: LOADING });
    this.addEventListener("click", ({ target, detail }) => target.closest("[data-open]") && detail < 2 && this.open());
    addEventListener("message", ({ origin, data, source }) => this.isMeta(origin) && this.hear(data, source));
    if (this.dataset.sdk) load(this.dataset, (trouble) => (this.trouble = trouble) && this.say(trouble));
  }

  // Inside the click, or the browser blocks the window.
  open() {
    const person = document.getElementById("person");
    if (person && !person.reportValidity()) return;
    if (this.trouble) return this.say(this.trouble);
    const signup = this.querySelector("#signup").dataset.id;
    const opening = { signup, event: "" };
    Object.assign(this, { signup, opening, person: person?.value ?? "", hasCode: false });
    openFor(opening, (answer) => this.answered(opening, answer), this.dataset);
    this.tell(signup, "opened");
  }

  // A window that was left open by an earlier click may still give a code, but it ends nothing that a later one began.
  answered(opening, answer) {
    const code = answer?.authResponse?.code;
    if (code) this.tell(opening.signup, "code", { code, event: opening.event });
    else if (opening === this.opening || opening.signup !== this.signup) this.tell(opening.signup, "closed");
    if (opening.signup === this.signup) this.hasCode ||= !!code;
  }

  hear(data, source) {
    if (!this.opening || typeof data !== "string" || !data.includes(TYPE)) return;
    const opening = Object.assign(openingOf(source, this.opening), { event: data });
    if (opening === this.opening) this.tell(opening.signup, "event", { event: data });
  }

  // Kept alive, so that a tab that is closed now loses nothing. Only the newest answer to this attempt is shown, and of
  // an event that comes after the code none: the code's own says more.
  async tell(signup, step, given = {}) {
    const asked = signup === this.signup && !this.hasCode ? ++this.asked : 0;
    const body = new URLSearchParams({ ...given, person: this.person, renews: this.dataset.renews });
    const request = { method: "POST", body, keepalive: true, headers: { "HX-Request": "true" } };
    const answer = await this.send(`${this.dataset.path}/${signup}/${step}`, request, step === "code" ? TRIES : 1);
    if (asked !== this.asked) return;
    if (!answer?.ok) return this.say(decodeURIComponent(answer?.headers.get("X-Failure") ?? "") || NOT_SENT);
    const text = await answer.text();
    this.shown = this.shown.catch(() => {}).then(() => asked === this.asked && this.show(text));
  }

  // One after the other: an answer that is still being put in place must not end up over a newer one.
  async show(text) {
    await htmx.swap({ text, sourceElement: this, target: this.querySelector("#signup"), swap: "outerMorph" });
    this.scrollIntoView({ block: "nearest" });
  }

  // A code comes once and lives for 30 seconds: a network or a server that is away for a moment must not cost it.
  async send(address, request, tries) {
    const answer = await fetch(address, request).catch(() => null);
    if (answer?.ok) this.querySelector("[data-trouble]").hidden = true;
    if (tries === 1 || (answer && ![502, 503, 504].includes(answer.status))) return answer;
    this.say(AGAIN);
    await new Promise((go) => setTimeout(go, PAUSE_MS));
    return this.send(address, request, tries - 1);
  }

  say(words) {
    Object.assign(this.querySelector("[data-trouble]"), { textContent: words, hidden: false });
  }
}

customElements.define("signup-dialog", SignupDialog);
