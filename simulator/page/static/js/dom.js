// Building elements without markup in strings: text is always text.

import { PATHS } from "./icons.js";

/** An element: `el("button", { class: "x", onclick: f, "aria-label": "Send" }, child, "text")`. */
export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && typeof value === "boolean") made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** An outlined icon; give a label only when it stands alone. */
export function icon(name, label) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("viewBox", "0 0 24 24");
  if (label) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
  } else svg.setAttribute("aria-hidden", "true");
  for (const d of PATHS[name]) {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

export function roundButton(name, label, act, extra = {}) {
  const { class: more = "", ...rest } = extra;
  return el("button", { type: "button", class: `round ${more}`, "aria-label": label, title: label, onclick: act, ...rest }, icon(name));
}

/** A circle with initials, in a colour of its own. */
export function avatar(name, size = "") {
  const words = name.replace(/[^\p{L}\p{N} @+]/gu, "").trim().split(/\s+/);
  const letters = words.length > 1 ? words[0][0] + words.at(-1)[0] : name.trim().slice(0, 2);
  let hue = 0;
  for (const sign of name) hue = (hue * 31 + sign.codePointAt(0)) % 360;
  const made = el("span", { class: `avatar ${size}`, "aria-hidden": "true" }, letters.toUpperCase());
  made.style.setProperty("--hue", hue);
  return made;
}

/** Make `nodes` the children of `parent`, touching only what differs, so that playing and focus go on. */
export function arrange(parent, nodes) {
  nodes.forEach((node, index) => {
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
  });
  while (parent.children.length > nodes.length) parent.lastElementChild.remove();
}
