// What the business shares, and how its customers behave.

import { el } from "./dom.js";
import { dial } from "./option.js";
import { post } from "./wire.js";

/** The card of the settings with sharing and people. */
export function peopleCard({ share, requested }, pace) {
  const asked = requested.history
    ? "It was already asked for since the number connected."
    : "The platform may ask once, within 24 hours.";
  const keep = (name) => (on) => post("pace", { [name]: on });
  return el("section", { class: "card" },
    el("h2", {}, "Sharing and people"),
    dial("share", "Share the chats of 180 days", asked, share, (on) => post("share", { share: on })),
    dial("auto_read", "Customers open their chats", "What was sent is read after some seconds.", pace.auto_read, keep("auto_read")),
    dial("auto_reply", "Customers answer by themselves", "A few seconds after the shop wrote.", pace.auto_reply, keep("auto_reply")),
  );
}
