// The conversation list: fetched again when something changed, walked with j and k, one row marked as open.
class ConversationList extends HTMLElement {
  connectedCallback() {
    this.refresh = () => this.fetchAgain();
    document.body.addEventListener("list", this.refresh);
    this.mark = () => this.markOpen();
    document.body.addEventListener("htmx:after:swap", this.mark);
    this.markOpen();
    this.keepAsked();
  }

  disconnectedCallback() {
    document.body.removeEventListener("list", this.refresh);
    document.body.removeEventListener("htmx:after:swap", this.mark);
    clearTimeout(this.waiting);
  }

  // As many rows as are there now, at most one request at a time: what changes meanwhile makes one more.
  async fetchAgain() {
    if (this.isFetching) return void (this.isStale = true);
    this.isFetching = true;
    const rows = this.querySelectorAll(".rows .row").length;
    const url = this.dataset.refresh + (this.dataset.refresh.includes("?") ? "&" : "?") + `rows=${rows}`;
    await htmx.ajax("GET", url, { source: this, target: this, swap: "outerMorph" });
    this.waiting = setTimeout(() => {
      this.isFetching = false;
      if (this.isStale) this.isStale = this.fetchAgain() && false;
    }, 300);
  }

  markOpen() {
    const open = document.getElementById("talk")?.dataset.conversation;
    for (const row of this.querySelectorAll(".row")) {
      if (row.parentElement.id === `row-${open}`) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
    document.querySelector(".talk-header .back")?.setAttribute("href", `/conversations${this.asked()}`);
  }

  // The filter and the words of this list, as a page's address has them.
  asked() {
    return new URL(this.dataset.refresh, location).search;
  }

  // They outlive a reload: what is asked of the list stands in the page's address as well.
  keepAsked() {
    const [here, asked] = [new URL(location), new URLSearchParams(this.asked())];
    for (const name of ["filter", "q"]) here.searchParams.delete(name);
    for (const [name, value] of asked) here.searchParams.set(name, value);
    if (here.href !== location.href) history.replaceState(history.state, "", here);
  }

  step(by) {
    const rows = [...this.querySelectorAll(".row")];
    const now = rows.findIndex((row) => row === document.activeElement);
    const from = now >= 0 ? now : rows.findIndex((row) => row.hasAttribute("aria-current"));
    rows[Math.max(0, Math.min(rows.length - 1, from + by))]?.focus();
  }
}

customElements.define("conversation-list", ConversationList);

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const isTyping = event.target.closest?.("input, textarea, select, dialog, audio, video");
  const list = document.querySelector("conversation-list");
  const isInList = list?.contains(document.activeElement);
  if (event.key === "Escape") {
    if (isTyping) event.target.blur();
    else if (matchMedia("(width < 700px)").matches) document.querySelector(".talk-header .back")?.click();
    else list?.step(0);
  } else if (!isTyping && list) {
    if (event.key === "/") document.getElementById("search").focus();
    else if (event.key === "j" || (event.key === "ArrowDown" && isInList)) list.step(1);
    else if (event.key === "k" || (event.key === "ArrowUp" && isInList)) list.step(-1);
    else return;
    event.preventDefault();
  }
});
