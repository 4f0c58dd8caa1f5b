// One message as a bubble.

import { openMenu } from "./bubble-menu.js";
import { media } from "./bubble-media.js";
import { el, icon, roundButton } from "./dom.js";
import { fullTime, inShort, tickOf, timeOf } from "./words.js";

const HOLD_MS = 450;
const ONLY_EMOJI = /^(\p{Extended_Pictographic}|\p{Emoji_Modifier}|\u200d|\ufe0f){1,9}$/u;

/** A line with a bubble and its menu. `quoted` is the message it replies to, when known here. */
export function bubble(message, { first, fresh, quoted }) {
  const side = message.direction === "inbound" ? "in" : "out";
  const reactions = Object.values(message.reactions);
  const names = ["line", side, message.origin, first && "first", fresh && "fresh", reactions.length && "reacted", message.type === "sticker" && "sticker"];
  const body = el("div", { class: "bubble" },
    message.origin === "api" ? el("div", { class: "from" }, icon("platform"), "Sent by the platform") : null,
    message.forwarded ? el("div", { class: "quiet" }, "Forwarded") : null,
    quoted ? quote(quoted) : null,
    ...content(message),
    foot(message),
    reactions.length ? el("div", { class: "reactions", "aria-label": "Reactions" }, ...reactions.map((one) => el("span", {}, one))) : null,
  );
  const open = () => openMenu(body, message);
  const more = roundButton("more", "What to do with this message", open, { class: "more" });
  const line = el("div", { class: names.filter(Boolean).join(" "), "data-wamid": message.wamid }, ...(side === "in" ? [body, more] : [more, body]));
  hold(body, open);
  return line;
}

function content(message) {
  if (message.revoked_at) return [el("div", { class: "body gone" }, inShort(message)[1])];
  const parts = media(message);
  if (message.text && !message.template) parts.push(el("div", { class: `body ${ONLY_EMOJI.test(message.text) ? "large" : ""}`, dir: "auto" }, message.text));
  return parts.length ? parts : [el("div", { class: "body gone" }, inShort(message)[1])];
}

function quote(quoted) {
  const show = (event) => {
    const target = event.target.closest(".thread").querySelector(`[data-wamid="${CSS.escape(quoted.wamid)}"]`);
    target?.scrollIntoView({ block: "center", behavior: "smooth" });
  };
  const [kind, words] = inShort(quoted);
  return el("button", { type: "button", class: "quote one-line", "aria-label": `Reply to: ${words}`, onclick: show }, kind ? `${words}` : words);
}

function foot(message) {
  const [tick, state] = tickOf(message.status);
  const seen = ["read", "played"].includes(message.status);
  const failed = message.status === "failed";
  const mark = message.direction === "outbound" && !message.revoked_at;
  return el("div", { class: "foot", title: fullTime(message.timestamp) },
    message.held ? el("span", {}, "held by Meta") : null,
    failed ? el("span", { class: "bad" }, message.errors[0]?.title ?? "Not delivered") : null,
    message.edited && !message.revoked_at ? el("span", {}, "edited") : null,
    el("time", {}, timeOf(message.timestamp)),
    mark ? el("span", { class: failed ? "bad" : seen ? "read" : "" }, icon(tick, state)) : null,
  );
}

/** Long press and right click open the menu. */
function hold(body, open) {
  let timer;
  const end = () => clearTimeout(timer);
  body.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch") timer = setTimeout(open, HOLD_MS);
  });
  for (const name of ["pointerup", "pointercancel", "pointermove"]) body.addEventListener(name, end);
  body.addEventListener("contextmenu", (event) => {
    event.preventDefault();
    end();
    open();
  });
}
