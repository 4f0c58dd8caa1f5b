// Time that is let pass at once: deadlines, silence, the two weeks without the phone.

import { el } from "./dom.js";
import { post, say } from "./wire.js";

const HOUR = 1;
const DAY = 24 * HOUR;
const STEPS = [
  ["7 hours", 7 * HOUR],
  ["1 day", DAY],
  ["11 days", 11 * DAY],
];

/** The card of the settings that puts the clock on, here and in the inbox. */
export function timeCard() {
  const pass = (words, hours) => async () => (await post("pass-time", { hours })) && say(`${words} have passed, here and in the inbox.`);
  const buttons = STEPS.map(([words, hours]) => el("button", { type: "button", class: "button", onclick: pass(words, hours) }, words));
  return el("section", { class: "card" },
    el("h2", {}, "Let time pass"),
    el("p", {}, "After 7 hours without a word a sync counts as silent, after a day it can no longer be asked for, and after two weeks without the phone WhatsApp ends the connection."),
    el("div", { class: "row" }, ...buttons),
  );
}
