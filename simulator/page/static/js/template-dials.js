// How Meta treats templates, by dial.

import { el } from "./dom.js";
import { choice, dial } from "./option.js";
import { post, say } from "./wire.js";

const REVIEW = { approve: "approved", reject: "rejected", wait: "not reviewed" };
const LAG_S = 60;
const MANY = 230;
const SWITCHES = [
  ["template_webhooks_lost", "Changes without a word", "no webhook tells of a template"],
  ["dashed_languages", "Languages with a dash", "webhooks write en-US"],
  ["quality_under_status", "Quality as a status", "its webhook comes under the status's field"],
  ["hold_templates", "Hold what is sent", "until its quality is known"],
  ["template_codes", "Refusals by code", "instead of 100 with a subcode"],
];

/** The dials of the templates' card. */
export function templateDials(faults) {
  const turn = (name) => (value) => post("faults", { [name]: value });
  const button = (words, run) => el("button", { type: "button", class: "button", onclick: run }, words);
  const release = (drop) => async () => {
    const done = await post("templates/release", { drop });
    if (done) say(done.released ? `${done.released} messages are no longer held.` : "No message is held.");
  };
  const many = async () => {
    const now = await post("templates/many", { count: MANY });
    if (now) say(`The shop has ${now.count} templates.`);
  };
  return [
    choice("review", "New templates are", "a moment after they came", REVIEW, faults.review, turn("review")),
    dial("template_lag_s", "Meta's list lags", "for a minute after a change", faults.template_lag_s > 0, (on) => turn("template_lag_s")(on ? LAG_S : 0)),
    ...SWITCHES.map(([name, words, under]) => dial(name, words, under, faults[name], turn(name))),
    el("div", { class: "row" }, button("Send what is held", release(false)), button("Drop what is held", release(true)), button(`Have ${MANY} templates`, many)),
  ];
}
