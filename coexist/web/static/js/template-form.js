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
    left.textContent = over > 0 ? `${over} character${over === 1 ? "" : "s"} too many` : `${-over} character${over === -1 ? "" : "s"} left`;
  }
}

customElements.define("template-form", TemplateForm);
