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
    (matchMedia("(pointer: coarse)").matches ? title : this.querySelector("[data-first]") ?? title).focus();
    const form = this.querySelector("template-form form");
    form?.addEventListener("htmx:after:swap", (event) => this.sent(event, form));
    for (const name of ["htmx:response:error", "htmx:error"]) this.addEventListener(name, (event) => this.fail(event));
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

// A template's form: what is typed stands in the message beside it at once.
let chosen; // files cannot be written back by the server: a form that comes again takes them over
class TemplateForm extends HTMLElement {
  connectedCallback() {
    const file = this.querySelector("input[type=file]");
    if (file && chosen?.action === this.form.action) file.files = chosen.files;
    this.addEventListener("input", (event) => this.show(event.target));
    this.show();
  }

  get form() {
    return this.querySelector("form");
  }

  // What was wrong with a value is not said of the next one.
  show(typed) {
    typed?.removeAttribute("aria-invalid");
    typed?.parentElement.querySelector(".wrong")?.remove();
    for (const place of this.querySelectorAll("[data-place]")) {
      const value = this.form.elements[`value.${place.dataset.place}`]?.value.trim();
      place.textContent = value || place.dataset.label;
      place.classList.toggle("is-open", !value);
    }
    for (const input of this.querySelectorAll("input[data-limit]")) this.measure(input, input.parentElement.querySelector(".left"));
    const file = this.querySelector("input[type=file]");
    if (!file) return;
    chosen = { action: this.form.action, files: file.files };
    if (file.files.length) this.querySelector("[data-file]").textContent = file.files[0].name;
  }

  measure(input, left) {
    const over = [...input.value.trim()].length - input.dataset.limit;
    left.hidden = over < -Math.min(40, input.dataset.limit / 3);
    left.classList.toggle("is-over", over > 0);
    left.textContent = over > 0 ? `${over} characters too many` : `${-over} characters left`;
  }
}

customElements.define("template-form", TemplateForm);
customElements.define("template-picker", TemplatePicker);
