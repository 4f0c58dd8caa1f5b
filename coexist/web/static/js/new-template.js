// The form of a new template: each place in its text asks for an example as soon as it is written.
const PLACE = /\{\{\s*(\w+)\s*\}\}/g; // as meta/templates.py reads them

customElements.define("new-template", class extends HTMLElement {
  connectedCallback() {
    this.examples = this.querySelector(".examples");
    this.known = new Map([...this.examples.querySelectorAll("input")].map((input) => [input.name, input.value]));
    this.addEventListener("input", (event) => this.hear(event.target));
  }

  hear(input) {
    if (input.name.startsWith("example.")) this.known.set(input.name, input.value);
    else if (["header", "body"].includes(input.name)) this.ask();
  }

  ask() {
    const form = this.querySelector("form");
    const places = ["header", "body"].flatMap((part) => [...form.elements[part].value.matchAll(PLACE)].map((found) => `${part}.${found[1]}`));
    const wanted = [...new Set(places)];
    const labels = new Map([...this.examples.querySelectorAll("label")].map((label) => [label.querySelector("input").name, label]));
    for (const label of labels.values()) label.remove();
    for (const key of wanted) this.examples.append(labels.get(`example.${key}`) ?? this.label(key));
    this.examples.hidden = !wanted.length;
  }

  label(key) {
    const [label, input] = [document.createElement("label"), document.createElement("input")];
    label.append(`{{${key.split(".")[1]}}}`, key.startsWith("header.") ? " (header)" : "", input);
    Object.assign(input, { name: `example.${key}`, value: this.known.get(`example.${key}`) ?? "", autocomplete: "off", dir: "auto" });
    return label;
  }
});
