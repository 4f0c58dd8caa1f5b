// What belongs to no single element: the zone cookie, failures in words, toggles, the image viewer.
import "./place.js";
import "./jump.js";
import "./copy.js";
import "./failure.js";
import "./message-list.js";
import "./conversation-list.js";
import "./message-composer.js";
import "./template-picker.js";
import "./template-form.js";
import "./new-template.js";
import "./live-line.js";
import "./voice-note.js";

// Times are written by the server in the zone of this cookie: a page that was made without it is made again.
const A_YEAR_S = 31_536_000;
const zone = `coexist_zone=${Intl.DateTimeFormat().resolvedOptions().timeZone}`;
if (!document.cookie.includes(zone)) {
  document.cookie = `${zone}; path=/; max-age=${A_YEAR_S}; samesite=lax`;
  if (document.body.classList.contains("shell") && document.cookie.includes(zone)) location.reload();
}

document.querySelector("form[data-submit-at-once]")?.requestSubmit();

// A page that says what went wrong leads back to the form; by this way what was typed is still there.
document.querySelector("[data-back]")?.addEventListener("click", (event) => {
  if (history.length < 2) return;
  event.preventDefault();
  history.back();
});

// Below three panes the contact lies over the conversation: the keyboard goes there and comes back.
function togglePanel(isOpen) {
  const talk = document.getElementById("talk");
  const [panel, who] = [talk.querySelector(".panel .close"), talk.querySelector(".who-button")];
  (talk.toggleAttribute("data-panel", isOpen) ? panel : who)?.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.target.closest?.("input, textarea") || matchMedia("(width >= 1180px)").matches) return;
  if (document.querySelector("dialog[open]") || !document.querySelector("#talk[data-panel]")) return;
  event.preventDefault();
  togglePanel(false);
}, true);

document.addEventListener("focusin", ({ target }) => target.matches("input[readonly]") && target.select());

document.addEventListener("click", (event) => {
  const toggle = event.target.closest?.("[data-toggle]");
  if (toggle) togglePanel();

  const picture = event.target.closest?.("a[data-zoom]");
  if (picture && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    const viewer = document.getElementById("viewer");
    viewer.querySelector("img").src = picture.href;
    viewer.showModal();
  } else if (event.target.id === "viewer") {
    event.target.close();
  }
});
