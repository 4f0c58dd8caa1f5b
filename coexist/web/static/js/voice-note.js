// A voice note, or any sound: play, seek, speed. The sound is no part of the page, so a bubble drawn anew plays on.
import { decoded } from "./voice.js";

const SPEEDS = [1, 1.5, 2];
const SPEED_KEY = "coexist-voice-speed";
const EVENTS = ["timeupdate", "play", "pause", "ended", "durationchange"];
let current = null; // one speaks at a time

const clock = (seconds) => {
  const whole = Math.ceil(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
};

customElements.define("voice-note", class extends HTMLElement {
  connectedCallback() {
    [this.sound, this.isBroken] = [new Audio(), false];
    this.sound.preload = this.dataset.seconds ? "none" : "metadata";
    this.sound.src = this.dataset.src;
    this.speed = Number(localStorage.getItem(SPEED_KEY)) || 1;
    for (const name of EVENTS) this.sound.addEventListener(name, () => this.draw());
    this.sound.addEventListener("error", () => this.decode());
    this.addEventListener("click", (event) => {
      if (event.target.closest(".play")) this.toggle();
      if (event.target.closest(".speed")) this.hasten();
    });
    this.addEventListener("input", (event) => ((this.sound.currentTime = Number(event.target.value)), this.draw()));
    this.draw();
  }

  disconnectedCallback() {
    this.sound.pause();
    if (this.blob) URL.revokeObjectURL(this.blob);
  }

  get seconds() {
    return Number.isFinite(this.sound.duration) ? this.sound.duration : Number(this.dataset.seconds) || 0;
  }

  async toggle() {
    if (!this.sound.paused) return this.sound.pause();
    if (current !== this) current?.sound.pause();
    current = this;
    this.sound.playbackRate = this.speed;
    // Refused where a sound may only start at a touch, and decoding took too long: the next touch starts it.
    await this.sound.play().catch(() => this.draw());
  }

  hasten() {
    this.speed = SPEEDS[(SPEEDS.indexOf(this.speed) + 1) % SPEEDS.length];
    localStorage.setItem(SPEED_KEY, this.speed);
    this.sound.playbackRate = this.speed;
    this.draw();
  }

  // The browser cannot play it as it is: decoded by us it can, or else it can be saved.
  async decode() {
    const wasWanted = current === this;
    this.blob = this.blob ? null : await decoded(this.dataset.src).catch(() => null);
    this.isBroken = !this.blob;
    if (this.isBroken) return this.draw();
    this.sound.src = this.blob;
    if (wasWanted) this.toggle();
  }

  draw() {
    const [play, at, told, speed] = ["button.play", "input", "output", "button.speed"].map((one) => this.querySelector(one));
    const now = this.sound.currentTime;
    this.classList.toggle("is-playing", !this.sound.paused);
    this.classList.toggle("is-broken", this.isBroken);
    play.setAttribute("aria-label", this.sound.paused ? "Play" : "Pause");
    [at.max, at.value] = [this.seconds, now];
    at.setAttribute("aria-valuetext", `${clock(now)} of ${clock(this.seconds)}`);
    if (this.seconds) told.textContent = clock(now && !this.sound.ended ? now : this.seconds);
    speed.textContent = `${this.speed}×`;
  }
});
