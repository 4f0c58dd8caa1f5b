// One template: what it says, and what Meta can do with it.

import { el } from "./dom.js";
import { choice } from "./option.js";
import { act, openSheet } from "./sheet.js";
import { post } from "./wire.js";
import { statusOf } from "./words.js";

const QUALITIES = { GREEN: "high", YELLOW: "medium", RED: "low", UNKNOWN: "not known yet" };
const CATEGORIES = { MARKETING: "marketing", UTILITY: "utility", AUTHENTICATION: "authentication" };
const ACTS = {
  approve: ["check", "Approve it"],
  resume: ["play", "Let it be sent again"],
  pause: ["pause", "Pause it for low quality"],
  reject: ["close", "Reject it"],
  disable: ["warn", "Disable it"],
};
const FITTING = {
  APPROVED: ["pause", "disable", "reject"],
  PAUSED: ["resume", "disable"],
  DISABLED: ["resume"],
  PENDING: ["approve", "reject"],
  REJECTED: ["approve"],
};

/** What a template says, part by part; media by their name. */
function preview(components) {
  const part = (kind) => components.find((one) => one.type === kind);
  const header = part("HEADER");
  const buttons = part("BUTTONS")?.buttons ?? [];
  const cards = part("CAROUSEL")?.cards.length;
  return el("div", { class: "sample" },
    header ? el("b", {}, header.text ?? `A ${header.format.toLowerCase()} stands here`) : null,
    el("p", { class: "body", dir: "auto" }, part("BODY")?.text ?? ""),
    part("FOOTER") ? el("p", { class: "quiet" }, part("FOOTER").text) : null,
    cards ? el("p", { class: "quiet" }, `and ${cards} cards`) : null,
    buttons.length ? el("div", { class: "choices" }, ...buttons.map((one) => el("span", {}, one.text))) : null,
  );
}

/** Open a template over the phone. Each change is told to the platform by a webhook, if one is on. */
export function openTemplate(near, template) {
  const { id, name, language, status, components } = template;
  const tell = (path, body = {}) => post(`templates/${path}`, { template: id, ...body });
  const then = (path) => async () => (await tell(path)) && close();
  const text = el("textarea", { rows: "4", dir: "auto" });
  text.value = components.find((one) => one.type === "BODY")?.text ?? "";
  const save = async (event) => {
    event.preventDefault();
    if (await tell("components", { body: text.value })) close();
  };
  const fitting = FITTING[status] ?? ["approve", "reject"];
  const close = openSheet(near, name,
    el("h2", {}, name, " ", el("span", { class: `chip ${statusOf(status)[0]}` }, statusOf(status)[1])),
    el("p", { class: "quiet" }, `${language}, id ${id}${status === "REJECTED" ? `, ${template.rejected_reason}` : ""}`),
    preview(components),
    ...fitting.map((path) => act(...ACTS[path], then(path), path === "disable" ? "bad" : "")),
    el("div", { class: "options" },
      choice("quality", "Quality", "as customers took it", QUALITIES, template.quality_score.score, (quality) => tell("quality", { quality })),
      choice("category", "Category", "it decides the price", CATEGORIES, template.category, (category) => tell("category", { category })),
      choice("soon", "Category in a day", "Meta announces it first", CATEGORIES, template.correct_category ?? template.category, (category) => tell("category", { category, announce: true })),
    ),
    el("details", {}, el("summary", {}, "Another text"),
      el("form", { onsubmit: save }, el("label", { class: "field" }, "What it says, with {{1}} for variables", text), el("div", { class: "row" }, el("button", { class: "button strong" }, "Change the text")))),
    act("trash", "Delete it", then("delete"), "bad"),
  );
}
