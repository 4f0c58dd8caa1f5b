// A person: their names, and their place in the phone's address book.

import { el } from "./dom.js";
import { act, openSheet } from "./sheet.js";
import { post } from "./wire.js";

/** Open the contact of a chat. */
export function openContact(near, chat) {
  const { contact } = chat;
  const name = el("input", { value: contact.book_name ?? contact.profile_name ?? "", maxlength: "60" });
  const save = async (event) => {
    event.preventDefault();
    if (await post("contact/save", { chat: chat.chat, name: name.value })) close();
  };
  const then = (path, body = {}) => async () => {
    close();
    await post(path, { chat: chat.chat, ...body });
  };
  const facts = [
    ["Profile", contact.profile_name || "none"],
    ["Username", contact.username ? `@${contact.username}` : "none"],
    ["Number", contact.shown_phone ? `+${contact.shown_phone}` : "hidden from the business"],
    ["User id", contact.bsuid],
  ];
  const close = openSheet(near, chat.name,
    el("h2", {}, contact.in_address_book ? "In the address book" : "Not in the address book"),
    el("form", { onsubmit: save },
      el("label", { class: "field" }, "Name in the address book", name),
      el("div", { class: "row" }, el("button", { class: "button strong" }, contact.in_address_book ? "Save the name" : "Add to the address book")),
    ),
    el("dl", { class: "facts" }, ...facts.map(([term, value]) => el("p", { class: "quiet" }, `${term}: ${value}`))),
    act("checks", "The customer reads the chat", then("customer/read")),
    chat.window_until ? act("clock", "Close the 24-hour window now", then("customer/window", { open: false })) : null,
    contact.in_address_book ? act("trash", "Remove from the address book", then("contact/remove"), "bad") : null,
  );
}
