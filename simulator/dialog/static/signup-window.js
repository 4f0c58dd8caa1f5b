// Meta's window: one screen after the other, and what it tells the page that opened it.
import { el } from "/static/js/dom.js";
import { SCREENS } from "./screens.js";

const CODE_AGAIN_MS = 20_000; // a code lives for 30 s, and somebody may look at the last screen for longer
const asked = new URLSearchParams(location.search);

class SignupWindow extends HTMLElement {
  async connectedCallback() {
    addEventListener("pagehide", () => this.answer());
    const { businesses } = await (await fetch("/dialog/businesses")).json();
    Object.assign(this, { businesses, business: businesses[0], share: businesses[0].share });
    this.show(0);
  }

  /** Show a screen. A business whose number is connected already is through at once. */
  show(place) {
    const last = SCREENS.length - 1;
    this.place = place === 1 && this.business.is_connected ? last : place;
    const { step, title, body, next } = SCREENS[this.place];
    const on = el("button", { class: "button strong", disabled: this.place === last }, next);
    const form = el("form", {}, el("h1", {}, title(this)), ...body(this), el("div", { class: "row" }, on));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.place === last) this.answer(true);
      else this.show(this.place + 1);
    });
    this.replaceChildren(el("header", {}, el("strong", {}, "Meta"), el("span", { class: "quiet" }, "a stand-in, to play with")), form, this.troubles(step));
    (form.querySelector("input:checked, input") ?? on).focus();
    if (this.place === last) this.finish();
  }

  async finish() {
    this.tell("FINISH_WHATSAPP_BUSINESS_APP_ONBOARDING", { waba_id: this.business.waba_id });
    await this.renew();
    setInterval(() => this.renew(), CODE_AGAIN_MS);
  }

  async renew() {
    const body = JSON.stringify({ waba_id: this.business.waba_id, share: this.share });
    this.code = (await (await fetch("/dialog/finish", { method: "POST", body })).json()).code;
    this.querySelector("form button").disabled = false;
  }

  /** Give the page its code, once; closing the last screen is as good as its button. */
  answer(closes = false) {
    if (this.code) {
      const authResponse = { code: this.code, accessToken: null, userID: null, expiresIn: null };
      this.post({ login: asked.get("state"), answer: { status: "connected", authResponse } });
      this.code = null;
    }
    if (closes) close();
  }

  tell(event, data) {
    this.post(JSON.stringify({ type: "WA_EMBEDDED_SIGNUP", event, data, version: "3" }));
  }

  post(message) {
    opener?.postMessage(message, asked.get("origin"));
  }

  troubles(step) {
    const end = (event, data) => () => (this.tell(event, data), close());
    const session = { session_id: "f34b51dab5e0498", timestamp: Math.floor(Date.now() / 1000) };
    const refused = { error_message: "This phone number is not eligible yet.", error_id: "2655093", ...session };
    const old = { error_message: "Update your WhatsApp Business app to a newer version.", error_code: "3441099", ...session };
    const button = (words, act) => el("button", { type: "button", class: "button", onclick: act }, words);
    return el("footer", {}, el("h2", {}, "Try what can go wrong"),
      el("div", { class: "row" }, button("Cancel", end("CANCEL", { current_step: step })), button("Number refused", end("CANCEL", refused)),
        button("App too old", end("ERROR", old)), button("Close the window", () => close())));
  }
}

customElements.define("signup-window", SignupWindow);
