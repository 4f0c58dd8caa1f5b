// The composer: Enter sends, Shift+Enter makes a line; a text that could not be sent comes back into the box.
class MessageComposer extends HTMLElement {
  connectedCallback() {
    [this.form, this.text] = [this.querySelector("form"), this.querySelector("textarea")];
    this.answering = this.querySelector(".answering");
    this.text.addEventListener("keydown", (event) => this.press(event));
    this.text.addEventListener("input", () => this.measure());
    this.form.addEventListener("htmx:config:request", (event) => this.leave(event));
    this.form.addEventListener("htmx:response:error", (event) => this.giveBack(event));
    this.form.addEventListener("htmx:error", (event) => this.giveBack(event));
    this.form.addEventListener("htmx:after:swap", (event) => event.target === this.form && document.querySelector("message-list")?.toLatest());
    this.answering.querySelector("button").addEventListener("click", () => this.answer(null));
    this.choose = (event) => this.answer(event.target.closest?.("[data-reply]") ?? undefined);
    document.addEventListener("click", this.choose);
    if (this.dataset.expires) this.clock = setTimeout(() => htmx.trigger(document.body, "conversation"), Math.min(2 ** 31 - 1, Math.max(1000, new Date(this.dataset.expires) - Date.now())));
    this.measure();
    if (matchMedia("(pointer: fine)").matches) this.text.focus({ preventScroll: true });
  }

  disconnectedCallback() {
    document.removeEventListener("click", this.choose);
    clearTimeout(this.clock);
  }

  press(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (this.text.value.trim() && [...this.text.value].length <= this.text.dataset.limit) this.form.requestSubmit();
  }

  measure() {
    const over = [...this.text.value].length - this.text.dataset.limit;
    const left = this.querySelector(".left");
    left.hidden = over < -200;
    left.classList.toggle("is-over", over > 0);
    left.textContent = over > 0 ? `${over} character${over === 1 ? "" : "s"} too many; WhatsApp takes ${this.text.dataset.limit}` : `${-over} left`;
    this.querySelector(".send").disabled = over > 0;
  }

  // The request has taken its values: the box is free for the next message, under a new reference.
  leave(event) {
    if (event.target !== this.form) return;
    const body = event.detail.ctx.request.body;
    if (!body.get("text").trim()) return event.preventDefault();
    event.detail.ctx.sent = [body.get("text"), body.get("our_ref")];
    this.fill("", reference());
    this.answer(null);
  }

  giveBack(event) {
    const [text, ref] = event.detail.ctx?.sent ?? [];
    if (event.target === this.form && text && !this.text.value) this.fill(text, ref);
  }

  fill(text, ref) {
    this.text.value = text;
    this.form.elements.our_ref.value = ref;
    this.text.dispatchEvent(new Event("input", { bubbles: true }));
  }

  answer(button) {
    if (button === undefined) return;
    const bubble = button?.closest(".message").querySelector(".bubble");
    this.answering.hidden = !button;
    this.form.elements.reply_to.value = button?.dataset.reply ?? "";
    this.answering.querySelector("span").textContent = (bubble?.querySelector(".text") ?? bubble)?.textContent.trim().slice(0, 160) ?? "";
    if (button) this.text.focus();
  }
}

function reference() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

customElements.define("message-composer", MessageComposer);
