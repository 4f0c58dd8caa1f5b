// A template as the customer sees it, with buttons that the customer can press.

import { el, icon } from "./dom.js";
import { post } from "./wire.js";

const HEADERS = {
  text: ({ text }) => el("div", { class: "body title", dir: "auto" }, text),
  image: ({ url }) => el("img", { class: "photo", src: url, alt: "Picture of the template", loading: "lazy" }),
  video: ({ url }) => el("video", { class: "moving", src: url, controls: true, preload: "metadata", "aria-label": "Video" }),
  document: ({ url, filename }) => el("a", { class: "slip", href: url, target: "_blank" }, icon("file"), el("span", {}, filename ?? "Document")),
  location: ({ location }) => el("div", {}, el("div", { class: "map" }, icon("pin")), el("b", {}, location.name ?? "Location"), el("div", { class: "quiet" }, location.address ?? "")),
};

const BUTTONS = {
  QUICK_REPLY: (button, press) => el("button", { type: "button", title: "The customer presses it", onclick: press }, icon("reply"), button.text),
  URL: ({ text, url }) => el("span", { title: url }, icon("link"), text),
  COPY_CODE: ({ text, code }) => el("span", { title: code }, icon("copy"), `${text} ${code}`),
  PHONE_NUMBER: ({ text, phone_number }) => el("span", { title: phone_number }, icon("phone"), text),
};

/** Elements for a sent template: header, text, footer, buttons. */
export function templateParts({ wamid, template }) {
  const { header, body, footer, buttons } = template;
  const press = (index) => () => post("customer/press", { message: wamid, index });
  const drawn = buttons.map((button, index) => (BUTTONS[button.type] ?? BUTTONS.URL)(button, press(index)));
  return [
    header ? HEADERS[header.type](header) : null,
    el("div", { class: "body", dir: "auto" }, body),
    footer ? el("div", { class: "quiet" }, footer) : null,
    drawn.length ? el("div", { class: "choices" }, ...drawn) : null,
  ].filter(Boolean);
}
