// What a bubble shows besides text.

import "./voice-note.js";
import { el, icon } from "./dom.js";
import { templateParts } from "./template-bubble.js";

const slip = (name, title, under, extra = {}) =>
  el(extra.href ? "a" : "div", { class: "slip", ...extra }, icon(name), el("span", {}, title, under ? el("small", {}, under) : null));

const size = (bytes) => (bytes > 1_048_576 ? `${(bytes / 1_048_576).toFixed(1)} MB` : `${Math.max(1, Math.round(bytes / 1024))} KB`);

const price = (items) => items.reduce((sum, one) => sum + one.quantity * one.item_price, 0).toFixed(2);

const MAKERS = {
  image: (m) => [el("img", { class: "photo", src: m.media.url, alt: m.text ?? "Photo", loading: "lazy" })],
  sticker: (m) => [el("img", { class: "stuck", src: m.media.url, alt: "Sticker" })],
  video: (m) => [el("video", { class: "moving", src: m.media.url, controls: true, preload: "metadata", "aria-label": "Video" })],
  audio: (m) => [el("voice-note", { src: m.media.url, seed: m.wamid })],
  document: (m) => [slip("file", m.content.filename ?? "Document", size(m.media.bytes), { href: m.media.url, target: "_blank" })],
  location: (m) => [el("div", { class: "map" }, icon("pin")), el("div", {}, el("b", {}, m.content.name ?? "Location"), el("div", { class: "quiet" }, m.content.address ?? ""))],
  contacts: (m) => m.content.list.map((card) => slip("card", card.name.formatted_name, card.phones?.[0]?.phone)),
  order: (m) => [slip("card", `Order of ${m.content.product_items.length} products`, `R$ ${price(m.content.product_items)}`)],
  unsupported: () => [slip("poll", "Poll", "opens only on the phone")],
  interactive: (m) => [el("div", { class: "body" }, m.content.body?.text ?? ""), choices(m.content)],
  template: (m) => (m.template ? templateParts(m) : [slip("platform", m.content.name, "template")]),
  request_welcome: () => [el("div", { class: "quiet" }, "Opened the chat for the first time")],
};

/** Elements for the media, place, cards or choices of a message; none for text. */
export function media(message) {
  return MAKERS[message.type]?.(message) ?? [];
}

function choices(content) {
  const action = content.action ?? {};
  const rows = (action.sections ?? []).flatMap((section) => section.rows);
  const names = [...(action.buttons ?? []).map((button) => button.reply.title), ...rows.map((row) => row.title)];
  const chosen = content.button_reply ?? content.list_reply;
  if (chosen) names.push(chosen.title);
  return el("div", { class: "choices" }, ...names.map((name) => el("span", {}, name)));
}
