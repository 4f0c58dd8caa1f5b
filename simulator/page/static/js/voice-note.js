// A voice note with a play button and a wave.

import { el, icon } from "./dom.js";

const BARS = 26;

class VoiceNote extends HTMLElement {
  connectedCallback() {
    if (this.audio) return;
    this.audio = new Audio(this.getAttribute("src"));
    this.audio.preload = "metadata";
    this.play = el("button", { type: "button", class: "play", onclick: () => this.#toggle() });
    this.wave = el("span", { class: "wave", "aria-hidden": "true" }, ...this.#bars());
    this.length = el("span", { class: "length" });
    this.classList.add("voice");
    this.replaceChildren(this.play, this.wave, this.length);
    for (const name of ["play", "pause", "ended", "timeupdate", "loadedmetadata"]) this.audio.addEventListener(name, () => this.#draw());
    this.#draw();
  }

  disconnectedCallback() {
    this.audio.pause();
  }

  #bars() {
    let state = 7;
    for (const sign of this.getAttribute("seed")) state = (state * 33 + sign.charCodeAt(0)) % 65_521;
    return Array.from({ length: BARS }, () => {
      state = (state * 75 + 74) % 65_537;
      const bar = el("i");
      bar.style.blockSize = `${20 + (state % 80)}%`;
      return bar;
    });
  }

  #toggle() {
    if (this.audio.paused) this.audio.play();
    else this.audio.pause();
  }

  #draw() {
    const { paused, currentTime, duration } = this.audio;
    const heard = duration ? currentTime / duration : 0;
    [...this.wave.children].forEach((bar, index) => bar.classList.toggle("heard", heard > 0 && index / BARS < heard));
    const seconds = Math.round(paused && !currentTime ? duration : currentTime);
    this.length.textContent = Number.isFinite(seconds) ? `0:${String(seconds).padStart(2, "0")}` : "";
    if (this.shown === paused) return;
    this.shown = paused;
    this.play.setAttribute("aria-label", paused ? "Play the voice note" : "Pause the voice note");
    this.play.replaceChildren(icon(paused ? "play" : "pause"));
  }
}

customElements.define("voice-note", VoiceNote);
