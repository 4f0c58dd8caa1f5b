// What a platform needs to connect the number by hand.

import { el } from "./dom.js";
import { openSheet } from "./sheet.js";

const NEEDED = ["waba_id", "phone_number_id", "display_phone_number", "token"];

/** Show the ids and the token of a number that coexists now. */
export function handOver(near, made) {
  const text = NEEDED.map((name) => `${name}  ${made[name]}`).join("\n");
  const area = el("textarea", { rows: "7", readonly: true });
  area.value = text;
  openSheet(near, "For the platform",
    el("h2", {}, "Give this to the platform"),
    el("label", { class: "field" }, "The number coexists now. Connect it in the inbox with:", area),
  );
}
