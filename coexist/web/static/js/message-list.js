// The scroller of a conversation: it holds the reading position whatever arrives or loads, and says what is new.
import { markDays } from "./days.js";
import { showPill } from "./pill.js";
import { tellRead } from "./read.js";
const NEAR_BOTTOM_PX = 60;

customElements.define("message-list", class extends HTMLElement {
  connectedCallback() {
    [this.list, this.pill] = [this.querySelector(".messages"), this.querySelector(".pill")];
    [this.fresh, this.isUnread, this.isAtBottom, this.lastTop] = [0, this.dataset.unread !== "0", true, 0];
    this.sizes = new ResizeObserver(() => this.hold());
    for (const each of [this, this.list]) this.sizes.observe(each);
    this.changes = new MutationObserver(() => (markDays(this.list), this.hold()));
    this.changes.observe(this.list, { childList: true });
    this.addEventListener("scroll", () => this.look(), { passive: true });
    this.addEventListener("added", (event) => this.count(event.detail));
    this.pill.addEventListener("click", () => this.toLatest());
    document.addEventListener("visibilitychange", (this.whenVisible = () => this.read()));
    if (!this.show(this.dataset.target)) this.hold();
  }

  disconnectedCallback() {
    this.sizes.disconnect();
    this.changes.disconnect();
    document.removeEventListener("visibilitychange", this.whenVisible);
  }

  get hasNewer() {
    return this.list.querySelector(".newer") !== null; // this is an older stretch, and the end is not loaded
  }

  // Remember what the reader sees: the end, or the first message in view and where it stands.
  look() {
    const top = this.getBoundingClientRect().top;
    const isNear = this.scrollHeight - this.scrollTop - this.clientHeight < NEAR_BOTTOM_PX;
    const hasLeft = this.scrollTop < this.lastTop; // the reader moved up, and not the end further down
    this.isAtBottom = !this.hasNewer && (isNear || (this.isAtBottom && !hasLeft));
    this.lastTop = this.scrollTop;
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
    if (this.hasNewer) return location.assign(location.pathname);
    this.isAtBottom = true;
    this.hold();
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
});
