// The screens of Meta's window, in order, each with the name by which Meta reports it when it is left.
import { el } from "/static/js/dom.js";

const choice = (group, checked, words, under, act) =>
  el("label", { class: "choice" }, el("input", { type: "radio", name: group, checked, onchange: act }), el("span", {}, words, el("small", {}, under)));

export const SCREENS = [
  {
    step: "BUSINESS_ACCOUNT_SELECTION",
    title: () => "Choose a business",
    next: "Continue",
    body: (it) =>
      it.businesses.map((one, index) =>
        choice("business", one === it.business, one.name,
          index ? `${one.display_phone_number}, not in the phone app: the wrong one` : `${one.display_phone_number}, in the WhatsApp Business app`,
          () => (it.business = one)),
      ),
  },
  {
    step: "PHONE_NUMBER_SETUP",
    title: () => "Connect your WhatsApp Business app",
    next: "Next",
    body: (it) => [
      el("p", {}, "Enter the number that you use in the app."),
      el("input", { type: "tel", "aria-label": "Phone number", value: it.business.display_phone_number, required: true,
        oninput: ({ target }) => target.setCustomValidity(target.value.replace(/\D/g, "") === it.business.digits ? "" : "This number is not in a WhatsApp Business app.") }),
    ],
  },
  {
    step: "PHONE_NUMBER_VERIFICATION",
    title: () => "Look at the phone",
    next: "Connect, on the phone",
    body: (it) => [
      el("div", { class: "phone-says" }, el("strong", {}, "Facebook Business"), el("p", {}, `Connect ${it.business.display_phone_number} to a platform? All linked devices will be logged out.`)),
      el("p", { class: "quiet" }, "A real phone shows this message, a code to enter, or scans a QR code from here."),
    ],
  },
  {
    step: "WHATSAPP_BUSINESS_PROFILE_SETUP",
    title: () => "Share your chats?",
    next: "Confirm",
    body: (it) => [
      choice("share", it.share, "Share the chats of up to 180 days", "and the contacts", () => (it.share = true)),
      choice("share", !it.share, "Do not share chats", "only what is written from now on", () => (it.share = false)),
    ],
  },
  {
    step: "FINISHED",
    title: (it) => `${it.business.name} is connected`,
    next: "Finish",
    body: () => [el("p", {}, "The app on the phone goes on as before. Keep it open.")],
  },
];
