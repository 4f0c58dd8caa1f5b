// The picker of templates in its dialog: it opens with its first content, and gives the keyboard back when it closes.
// As a page of its own it needs no script.
class TemplatePicker extends HTMLElement {
  connectedCallback() {
    this.dialog = this.closest("dialog");
    if (!this.dialog) return;
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.onclose = () => this.dialog.replaceChildren();
    this.querySelector("[data-close]")?.addEventListener("click", () => this.dialog.close());
    const title = this.querySelector("h2"); // a finger is not met by a keyboard over half of the sheet
    const first = matchMedia("(pointer: coarse)").matches ? title : this.querySelector("[data-first]") ?? title;
    queueMicrotask(() => first.focus()); // after htmx, which gives it back to the field from which Enter was pressed
    const search = this.querySelector("form.search");
    search?.addEventListener("submit", (event) => this.enter(event));
    search?.addEventListener("input", () => (this.isEntered = false));
    this.addEventListener("htmx:after:process", () => this.isEntered && this.pick()); // by then links know where to go
    const form = this.querySelector("template-form form");
    form?.addEventListener("htmx:after:swap", (event) => this.sent(event, form));
    for (const name of ["htmx:response:error", "htmx:error"]) this.addEventListener(name, (event) => this.fail(event));
  }

  // Enter in the search takes the first template found: of the words that stand there, not of those before.
  enter(event) {
    event.preventDefault();
    this.isEntered = event.target.elements.q.value.trim() !== "";
    if (this.isEntered) this.pick();
  }

  pick() {
    const choices = this.querySelector("#choices");
    const typed = this.querySelector("form.search").elements.q.value.trim().replace(/\s+/g, " "); // as the server reads it
    if (choices.dataset.words !== typed) return;
    this.isEntered = false;
    choices.querySelector(".pick")?.click();
  }

  // The bubble is in its place. A form that was not right has gone by then: another stands here.
  sent(event, form) {
    if (event.target !== form) return;
    this.dialog.close();
    document.querySelector("message-list")?.toLatest();
  }

  // The page's own line of failures lies below a dialog.
  fail(event) {
    const told = event.detail.ctx?.response?.headers.get("X-Failure");
    const said = this.querySelector(".picker-failure") ?? document.createElement("p");
    said.className = "error picker-failure";
    said.setAttribute("role", "alert");
    said.textContent = told ? decodeURIComponent(told) : "That did not work. Nothing is lost here; try again in a moment.";
    this.querySelector(".picker-head").after(said);
  }
}

customElements.define("template-picker", TemplatePicker);
