// Something to send besides text: samples, ready to go.

import { act, openSheet } from "./sheet.js";

const OWNER = [
  ["image", "Photo", { media: "photo" }],
  ["mic", "Voice note", { media: "voice" }],
  ["video", "Video", { media: "video" }],
  ["file", "Document", { media: "document" }],
  ["sticker", "Sticker", { media: "sticker" }],
  ["pin", "Location", { type: "location" }],
  ["card", "Contact card", { type: "contacts" }],
];
const CUSTOMER = [
  ...OWNER,
  ["card", "Order", { type: "order" }],
  ["poll", "Poll (the platform cannot read it)", { type: "unsupported" }],
  ["warn", "A message the platform cannot get (131060)", { text: "Oi! Vi o anúncio de vocês", unavailable: true }],
];

/** Choose a sample; `send` gets its draft. */
export function openAttach(composer, send) {
  const samples = composer.side === "customer" ? CUSTOMER : OWNER;
  const close = openSheet(composer, "Attach",
    ...samples.map(([name, words, draft]) => act(name, words, () => {
      close();
      send(draft);
    })),
  );
}
