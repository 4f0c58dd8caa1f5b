// What goes wrong on the way, by dial.

import { el } from "./dom.js";
import { choice, dial, slider } from "./option.js";
import { gathered, get, listen, post } from "./wire.js";

const CHANCES = [
  ["duplicate", "Twice", "Meta delivers at least once"],
  ["reorder", "Out of order", "Meta promises no order"],
  ["split", "In pieces", "one webhook becomes several"],
  ["drop_then_retry", "Lost, then again", "the first attempt never arrives"],
  ["status_disorder", "Ticks out of order", "read before delivered"],
];
const SWITCHES = [
  ["placeholder_after_detail", "Media before their chunk", "in the history"],
  ["echo_api", "Echo what the platform sent", "Meta says never, some have seen it"],
  ["errors_async", "Refuse late", "a closed window fails by status"],
  ["silent_sync", "The sync brings nothing", "it is accepted, and nothing ever comes"],
  ["missing_end", "The history has no end", "its progress never says 100"],
];
const MEDIA = { "": "come", gone: "Meta has them no longer", busy: "Meta is too busy", damaged: "arrive damaged", stuck: "stop half-way" };
const LOST_CHUNK = 3;
const HEALTH = { AVAILABLE: "may send", LIMITED: "may send a little", BLOCKED: "may not send" };
const WHEN = { graph_error: "refuse it", status_error: "fail it later" };
const ONCE = [
  ["Next send: too many to this user", { graph_error: { code: 131056 } }],
  ["Next send: Meta is down", { graph_error: { code: 131016 } }],
  ["Next send: no answer, but sent", { graph_timeout: { seconds: 30 } }],
];

/** Any error of Meta's for the next message: at once, or by a status. */
function nextSend() {
  const code = el("input", { name: "code", inputmode: "numeric", pattern: "[0-9]{1,8}", required: true, placeholder: "131031", "aria-label": "Meta's error code", "data-key": "code" });
  const when = el("select", { "aria-label": "When" }, ...Object.entries(WHEN).map(([value, words]) => el("option", { value }, words)));
  const submit = (event) => {
    event.preventDefault();
    post("faults", { [when.value]: { code: Number(code.value) } });
  };
  return el("form", { class: "row", onsubmit: submit }, el("label", {}, "Next send: error ", code), when, el("button", { class: "button" }, "Set"));
}

class FaultDials extends HTMLElement {
  #stop;

  connectedCallback() {
    const refresh = gathered(() => this.#load());
    this.#stop = listen((kind) => ["connection", "reset"].includes(kind) && refresh());
    this.#load();
  }

  disconnectedCallback() {
    this.#stop();
  }

  async #load() {
    const { faults } = await get("state");
    const open = this.querySelector("details")?.open;
    const focused = document.activeElement?.dataset?.key;
    const turn = (name) => (value) => post("faults", { [name]: value });
    this.replaceChildren(
      el("section", { class: "card" },
        el("details", { open: Boolean(open) },
          el("summary", {}, "Let things go wrong"),
          ...CHANCES.map(([name, words, under]) => slider(name, words, under, faults[name], turn(name))),
          ...SWITCHES.map(([name, words, under]) => dial(name, words, under, faults[name], turn(name))),
          dial("lost_chunk", "The history loses a part", `number ${LOST_CHUNK} never comes`, faults.lost_chunk, (on) => turn("lost_chunk")(on ? LOST_CHUNK : null)),
          choice("media", "Files", "when the platform fetches them", MEDIA, faults.media, turn("media")),
          choice("health", "The account", "as Meta sees it", HEALTH, faults.health, turn("health")),
          nextSend(),
          ...ONCE.map(([words, body]) => el("div", { class: "row" }, el("button", { type: "button", class: "button", onclick: () => post("faults", body) }, words))),
        ),
      ),
    );
    if (focused) this.querySelector(`[data-key="${focused}"]`)?.focus();
  }
}

customElements.define("fault-dials", FaultDials);
