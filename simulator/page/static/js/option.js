// One line of the settings with a switch or a slider.

import { el } from "./dom.js";

/** A switch. `set(on)` is called when it is turned. */
export function dial(key, words, under, on, set) {
  const button = el("button", { type: "button", class: "option", role: "switch", "aria-checked": String(Boolean(on)), "data-key": key },
    el("span", { class: "words" }, words, el("small", {}, under)),
    el("span", { class: "toggle" }),
  );
  button.addEventListener("click", () => {
    const turned = button.getAttribute("aria-checked") !== "true";
    button.setAttribute("aria-checked", String(turned));
    set(turned);
  });
  return button;
}

/** A slider for a chance in tenths. `set(share)` is called when it rests. */
export function slider(key, words, under, share, set) {
  const shown = el("output", {}, `${Math.round(share * 100)} %`);
  const range = el("input", { type: "range", min: "0", max: "1", step: "0.1", value: String(share), "data-key": key });
  range.addEventListener("input", () => (shown.textContent = `${Math.round(range.value * 100)} %`));
  range.addEventListener("change", () => set(Number(range.value)));
  return el("label", { class: "option dial" }, el("span", { class: "words" }, words, el("small", {}, under)), range, shown);
}

/** A choice of one of `names`, a map of values to words. `set(value)` is called when it changes. */
export function choice(key, words, under, names, value, set) {
  const options = Object.entries(names).map(([name, said]) => el("option", { value: name, selected: name === value }, said));
  const list = el("select", { "data-key": key, onchange: ({ target }) => set(target.value) }, ...options);
  return el("label", { class: "option" }, el("span", { class: "words" }, words, el("small", {}, under)), list);
}
