// Opens Meta's sign-up window and tells the server at once what comes of it. What the window says is believed from
// Meta's site alone, and even then proves nothing: the server asks Meta.
const TYPE = "WA_EMBEDDED_SIGNUP";
const BLOCKED = "Meta's window cannot be opened: connect.facebook.net is not reached. A content blocker in this browser may stop it; allow it here and load the page again.";
const LOADING = "Meta's window is still being loaded. Try again in a moment.";
const NOT_SENT = "The server cannot be reached. Load this page again: what was done is kept.";

class SignupDialog extends HTMLElement {
  connectedCallback() {
    Object.assign(this, { asked: 0, trouble: LOADING });
    this.addEventListener("click", ({ target, detail }) => target.closest("[data-open]") && detail < 2 && this.open());
    addEventListener("message", ({ origin, data }) => this.isMeta(origin) && this.hear(data));
    if (this.dataset.sdk) this.load();
  }

  load() {
    const { app: appId, version, sdk } = this.dataset;
    window.fbAsyncInit = () => {
      FB.init({ appId, autoLogAppEvents: true, xfbml: true, version });
      this.trouble = "";
    };
    const script = Object.assign(document.createElement("script"), { src: sdk, async: true, crossOrigin: "anonymous" });
    script.onerror = () => this.say((this.trouble = BLOCKED));
    document.head.append(script);
  }

  // Inside the click, or the browser blocks the window.
  open() {
    const person = document.getElementById("person");
    if (person && !person.reportValidity()) return;
    if (this.trouble) return this.say(this.trouble);
    const signup = (this.signup = this.querySelector("#signup").dataset.id);
    Object.assign(this, { person: person?.value ?? "", event: "" });
    const { config: config_id, feature } = this.dataset;
    const extras = { setup: {}, sessionInfoVersion: "3", ...(feature !== "none" && { featureType: feature }) };
    FB.login((answer) => this.answered(signup, answer), { config_id, response_type: "code", override_default_response_type: true, extras });
    this.tell(signup, "opened");
  }

  answered(signup, answer) {
    const code = answer?.authResponse?.code;
    if (code) this.tell(signup, "code", { code, event: this.event });
    else this.tell(signup, "closed");
  }

  isMeta(origin) {
    if (!URL.canParse(origin)) return false;
    const [from, site] = [new URL(origin), new URL(this.dataset.site ?? "https://facebook.com")];
    const isHost = from.hostname === site.hostname || from.hostname.endsWith(`.${site.hostname}`);
    return isHost && from.protocol === site.protocol && from.port === site.port;
  }

  hear(data) {
    if (!this.signup || typeof data !== "string" || !data.includes(TYPE)) return;
    this.event = data;
    this.tell(this.signup, "event", { event: data });
  }

  // Kept alive, so that a tab that is closed now loses nothing. Only the newest answer to this attempt is shown.
  async tell(signup, step, given = {}) {
    const asked = signup === this.signup ? ++this.asked : 0;
    const body = new URLSearchParams({ ...given, person: this.person, renews: this.dataset.renews });
    const request = { method: "POST", body, keepalive: true, headers: { "HX-Request": "true" } };
    const answer = await fetch(`${this.dataset.path}/${signup}/${step}`, request).catch(() => null);
    if (asked !== this.asked) return;
    if (!answer?.ok) return this.say(decodeURIComponent(answer?.headers.get("X-Failure") ?? "") || NOT_SENT);
    const target = this.querySelector("#signup");
    await htmx.swap({ text: await answer.text(), sourceElement: this, target, swap: "outerMorph" });
    this.scrollIntoView({ block: "nearest" });
  }

  say(words) {
    const trouble = this.querySelector("[data-trouble]");
    trouble.textContent = words;
    trouble.hidden = false;
  }
}

customElements.define("signup-dialog", SignupDialog);
