// The scroller of a conversation. It holds the reading position whatever arrives or loads above or below, marks
// where days begin, says how many messages are new, and tells the server when they were read.
const NEAR_BOTTOM_PX = 60;
const READ_PAUSE_MS = 400;

class MessageList extends HTMLElement {
  connectedCallback() {
    [this.list, this.pill] = [this.querySelector(".messages"), this.querySelector(".pill")];
    [this.fresh, this.isUnread, this.isAtBottom] = [0, this.dataset.unread !== "0", true];
    this.sizes = new ResizeObserver(() => this.hold());
    this.sizes.observe(this);
    this.sizes.observe(this.list);
    this.changes = new MutationObserver(() => (this.markDays(), this.hold()));
    this.changes.observe(this.list, { childList: true });
    this.addEventListener("scroll", () => this.look(), { passive: true });
    this.addEventListener("added", (event) => this.count(event.detail));
    this.addEventListener("click", (event) => this.follow(event));
    this.pill.addEventListener("click", () => this.toLatest());
    this.whenVisible = () => this.read();
    document.addEventListener("visibilitychange", this.whenVisible);
    this.show(this.dataset.target) || this.hold();
    this.look();
  }

  disconnectedCallback() {
    this.sizes.disconnect();
    this.changes.disconnect();
    document.removeEventListener("visibilitychange", this.whenVisible);
  }

  get hasNewer() {
    return this.list.querySelector(".newer") !== null;
  }

  // Remember what the reader sees: the end, or the first message in view and where it stands.
  look() {
    const top = this.getBoundingClientRect().top;
    this.isAtBottom = !this.hasNewer && this.scrollHeight - this.scrollTop - this.clientHeight < NEAR_BOTTOM_PX;
    this.anchor = [...this.list.getElementsByClassName("message")].find((each) => each.getBoundingClientRect().bottom > top);
    this.offset = this.anchor && this.anchor.getBoundingClientRect().top - top;
    if (this.isAtBottom) this.fresh = 0;
    this.pill.hidden = this.isAtBottom || !this.anchor;
    this.pill.classList.toggle("is-new", this.fresh > 0);
    const words = this.fresh === 0 ? "Latest" : this.fresh === 1 ? "1 new message" : `${this.fresh} new messages`;
    this.pill.querySelector("span").textContent = words;
    this.read();
  }

  hold() {
    if (this.isAtBottom) this.scrollTop = this.scrollHeight;
    else if (this.anchor?.isConnected) this.scrollTop += this.anchor.getBoundingClientRect().top - this.getBoundingClientRect().top - this.offset;
    this.look();
  }

  count(message) {
    if (message.classList.contains("in")) this.isUnread = true;
    if (!this.isAtBottom) this.fresh += 1;
    this.look();
  }

  read() {
    if (!this.isUnread || !this.isAtBottom || document.hidden) return;
    this.isUnread = false;
    setTimeout(() => fetch(this.dataset.read, { method: "POST", headers: { "HX-Request": "true" } }), READ_PAUSE_MS);
  }

  toLatest() {
    if (this.hasNewer) return location.assign(location.pathname);
    this.isAtBottom = true;
    this.hold();
  }

  // A quote leads to its message: here if it is loaded, else by a page around it.
  follow(event) {
    const link = event.target.closest?.("a[data-conversation]");
    if (link && this.show(link.hash.slice(1))) event.preventDefault();
    else if (link) link.href = `/conversations/${link.dataset.conversation}?at=${link.hash.replace("#message-", "")}${link.hash}`;
  }

  show(id) {
    const message = id && document.getElementById(id);
    if (!message) return false;
    this.isAtBottom = false;
    message.scrollIntoView({ block: "center" });
    message.classList.add("is-target");
    setTimeout(() => message.classList.remove("is-target"), 1500);
    this.look();
    return true;
  }

  markDays() {
    let day = "";
    for (const message of this.list.getElementsByClassName("message")) {
      message.classList.toggle("opens-day", message.dataset.day !== day);
      day = message.dataset.day;
    }
  }
}

customElements.define("message-list", MessageList);
