// What can be done with a message, from the side one writes on.

import { el } from "./dom.js";
import { act, openSheet } from "./sheet.js";
import { post } from "./wire.js";

const EMOJIS = ["👍", "❤️", "😂", "🙏", "🌿", "😮"];
const EDIT_S = 15 * 60;
const DELETE_S = 2 * 86_400;

const HEARD = {
  history: "The platform heard of it by the shared history.",
  live: "The platform heard of it as it happened.",
  api: "It came from the platform.",
  unavailable: "The platform was told only that there is a message (131060).",
};

/** Open the menu of a message. The composer knows whose side is played. */
export function openMenu(near, message) {
  const composer = near.closest("chat-view").querySelector("chat-composer");
  const customer = composer.side === "customer";
  const side = customer ? "customer" : "owner";
  const own = customer === (message.direction === "inbound");
  const age = Date.now() / 1000 - message.timestamp;
  const living = !message.revoked_at;
  const mine = message.reactions[customer ? "contact" : "business"];
  const then = (run) => () => {
    close();
    run();
  };
  const react = (emoji) => then(() => post(`${side}/react`, { message: message.wamid, emoji: emoji === mine ? "" : emoji }));
  const emojis = EMOJIS.map((emoji) => el("button", { type: "button", "aria-label": `React with ${emoji}`, "aria-pressed": String(emoji === mine), onclick: react(emoji) }, emoji));
  const items = [];
  if (living) items.push(act("reply", "Reply", then(() => composer.begin("reply", message))));
  if (living && own && message.text && message.type !== "button" && message.origin !== "api" && age < EDIT_S) items.push(act("pencil", "Edit", then(() => composer.begin("edit", message))));
  if (message.unavailable) items.push(act("platform", "Let the platform have it after all", then(() => post("customer/recover", { message: message.wamid }))));
  if (living && own && age < DELETE_S) items.push(act("trash", "Delete for everyone", then(() => post(`${side}/delete`, { message: message.wamid })), "bad"));
  const heard = HEARD[message.told] ?? `The platform does not know it: ${message.not_told_why ?? "the history was not asked for yet"}.`;
  const late = living && own && message.origin !== "api" && age >= EDIT_S ? " Editing ends after 15 minutes." : "";
  const close = openSheet(near, "Message",
    living ? el("div", { class: "emojis" }, ...emojis) : null,
    ...items,
    el("p", { class: "quiet" }, heard + late),
  );
}
