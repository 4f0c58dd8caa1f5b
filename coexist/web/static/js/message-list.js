// The scroller of a conversation: it holds the reading position whatever arrives or loads, and says what is new.
import { markDays } from "./days.js";
import { showPill } from "./pill.js";
import { tellRead } from "./read.js";

const NEAR_BOTTOM_PX = 60;
const hasNewer = (list) => list.querySelector(".newer") !== null; // an older stretch: the end is not loaded

customElements.define("message-list", class extends HTMLElement {
  connectedCallback() {
    [this.list, this.pill] = [this.querySelector(".messages"), this.querySelector(".pill")];
    [this.fresh, this.isUnread, this.isAtBottom] = [0, this.dataset.unread !== "0", true];
    this.sizes = new ResizeObserver(() => this.hold());
    for (const each of [this, this.list]) this.sizes.observe(each);
    this.changes = new MutationObserver(() => (markDays(this.list), this.hold()));
    this.changes.observe(this.list, { childList: true });
    this.addEventListener("scroll", () => this.moved(), { passive: true });
    this.addEventListener("added", (event) => this.count(event.detail));
    this.pill.addEventListener("click", () => this.toLatest());
    document.addEventListener("visibilitychange", (this.whenVisible = () => this.read()));
    if (!this.show(this.dataset.target)) this.hold();
  }

  disconnectedCallback() {
    for (const each of [this.sizes, this.changes]) each.disconnect();
    document.removeEventListener("visibilitychange", this.whenVisible);
  }

  // Content that grows or shrinks scrolls too: then the place is held, and only else has the reader moved.
  moved() {
    this.extent === `${this.scrollHeight} ${this.clientHeight}` ? this.look() : this.hold();
  }

  // Remember what the reader sees: the end, or the first message in view and where it stands.
  look() {
    const top = this.getBoundingClientRect().top;
    this.extent = `${this.scrollHeight} ${this.clientHeight}`;
    this.isAtBottom = !hasNewer(this.list) && this.scrollHeight - this.scrollTop - this.clientHeight < NEAR_BOTTOM_PX;
    this.anchor = [...this.list.getElementsByClassName("message")].find((each) => each.getBoundingClientRect().bottom > top);
    this.offset = this.anchor && this.anchor.getBoundingClientRect().top - top;
    if (this.isAtBottom) this.fresh = 0;
    showPill(this.pill, this.isAtBottom || !this.anchor ? null : this.fresh);
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
    this.hold();
  }

  read() {
    if (!this.isUnread || !this.isAtBottom || document.hidden) return;
    this.isUnread = false;
    tellRead(this.dataset.read, this.list);
  }

  toLatest() {
    if (hasNewer(this.list)) return location.assign(location.pathname);
    this.isAtBottom = true;
    this.hold();
  }

  show(id) {
    const message = id && document.getElementById(id);
    if (!message) return false;
    this.isAtBottom = false;
    message.scrollIntoView({ block: "start" }); // its scroll-margin leaves room above
    message.classList.add("is-target");
    setTimeout(() => message.classList.remove("is-target"), 1500);
    this.look();
    return true;
  }
});
