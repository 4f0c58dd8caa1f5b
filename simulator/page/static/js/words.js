// Times and short texts as the phone shows them.

const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const seconds = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const weekday = new Intl.DateTimeFormat("en", { weekday: "long" });
const date = new Intl.DateTimeFormat("en", { day: "numeric", month: "long" });
const full = new Intl.DateTimeFormat([], { dateStyle: "full", timeStyle: "medium" });

const midnight = (at) => new Date(at * 1000).setHours(0, 0, 0, 0);
const daysAgo = (at) => Math.round((midnight(Date.now() / 1000) - midnight(at)) / 86_400_000);

export const timeOf = (at) => clock.format(at * 1000);
export const secondOf = (at) => seconds.format(at * 1000);
export const fullTime = (at) => full.format(at * 1000);

export function dayOf(at) {
  const days = daysAgo(at);
  if (days < 1) return "Today";
  if (days === 1) return "Yesterday";
  return days < 7 ? weekday.format(at * 1000) : date.format(at * 1000);
}

export const listTime = (at) => (daysAgo(at) < 1 ? timeOf(at) : dayOf(at));

const LABELS = {
  image: ["image", "Photo"],
  video: ["video", "Video"],
  audio: ["mic", "Voice note"],
  document: ["file", "Document"],
  sticker: ["sticker", "Sticker"],
  location: ["pin", "Location"],
  contacts: ["card", "Contact"],
  order: ["card", "Order"],
  unsupported: ["poll", "Poll"],
  interactive: ["platform", "Choices"],
  template: ["platform", "Template"],
  button: ["reply", "Button"],
};

/** An icon name (or null) and one line for a message. */
export function inShort(message) {
  if (message.revoked_at) return [null, message.direction === "inbound" ? "Deleted by the customer" : "You deleted this message"];
  const [icon, label] = LABELS[message.type] ?? [null, message.type.replace("_", " ")];
  if (message.type === "text") return [null, message.text];
  if (message.type === "document") return [icon, message.content.filename ?? label];
  if (message.type === "location") return [icon, message.content.name ?? label];
  if (message.type === "interactive") return [icon, message.content.body?.text ?? label];
  if (message.type === "template") return [icon, message.text ?? message.content.name ?? label];
  return [icon, message.text ?? label];
}

const TICKS = {
  pending: ["clock", "Waiting"],
  sent: ["check", "Sent"],
  delivered: ["checks", "Delivered"],
  read: ["checks", "Read"],
  played: ["checks", "Played"],
  failed: ["warn", "Not delivered"],
};

export const tickOf = (status) => TICKS[status] ?? TICKS.sent;

export const STATES = {
  none: "Not connected to a platform",
  connected: "Connected to the platform",
  offboarded: "Phone being changed: the platform hears nothing",
  removed: "Disconnected from the platform",
};

const STATUSES = {
  APPROVED: ["good", "approved"],
  PENDING: ["waiting", "in review"],
  PAUSED: ["waiting", "paused"],
  REJECTED: ["bad", "rejected"],
  DISABLED: ["bad", "disabled"],
};

/** A colour's name and a word for the status of a template. */
export const statusOf = (status) => STATUSES[status] ?? ["", status.toLowerCase().replace("_", " ")];
