// A sheet that slides over the phone: takes the focus, gives it back, closes with Escape.

import { el, icon } from "./dom.js";

/** Open a sheet over the phone around `near`; returns the function that closes it. */
export function openSheet(near, label, ...children) {
  const phone = near.closest("phone-app");
  const before = document.activeElement;
  const sheet = el("div", { class: "sheet", role: "dialog", "aria-modal": "true", "aria-label": label }, ...children);
  const veil = el("div", { class: "veil" }, sheet);
  const behind = [...phone.children];
  const close = () => {
    veil.remove();
    for (const one of behind) one.inert = false;
    if (before?.isConnected) before.focus({ preventScroll: true });
  };
  veil.addEventListener("click", (event) => event.target === veil && close());
  veil.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    close();
  });
  for (const one of behind) one.inert = true;
  phone.append(veil);
  sheet.querySelector("input, textarea, button")?.focus({ preventScroll: true });
  return close;
}

/** One line of a sheet: an icon, words, and what it does. */
export function act(name, words, run, kind = "") {
  return el("button", { type: "button", class: `act ${kind}`, onclick: run }, icon(name), words);
}
