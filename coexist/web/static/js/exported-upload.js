// Gives an exported chat: by the file chooser, or dropped anywhere on the page. Sent as it is, with progress.
class ExportedUpload extends HTMLElement {
  connectedCallback() {
    this.input = this.querySelector("input");
    this.way = this.querySelector(".way-in");
    this.error = this.querySelector(".error");
    this.input.addEventListener("change", () => this.input.files[0] && this.send(this.input.files[0]));
    this.way.querySelector("button").addEventListener("click", () => this.request?.abort());
    this.leave = new AbortController();
    const options = { signal: this.leave.signal };
    document.addEventListener("dragover", (event) => this.over(event, true), options);
    document.addEventListener("dragleave", (event) => event.relatedTarget || this.over(event, false), options);
    document.addEventListener("drop", (event) => this.drop(event), options);
  }

  disconnectedCallback() {
    this.leave.abort();
    this.request?.abort();
  }

  over(event, isOver) {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    this.classList.toggle("is-over", isOver);
  }

  drop(event) {
    this.over(event, false);
    const files = event.dataTransfer?.files ?? [];
    if (files.length > 1) this.fail("One chat at a time, please.");
    else if (files.length === 1) this.send(files[0]);
  }

  send(file) {
    if (this.request) return;
    this.input.value = "";
    this.error.hidden = true;
    if (file.size > Number(this.dataset.max)) return this.fail("This file is too large.");
    if (file.size === 0) return this.fail("This file is empty.");
    const request = (this.request = new XMLHttpRequest());
    request.open("POST", this.dataset.path);
    request.setRequestHeader("HX-Request", "true");
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("X-File-Name", encodeURIComponent(file.name));
    request.upload.addEventListener("progress", ({ loaded, total }) => this.show(file.name, loaded / total));
    request.addEventListener("loadend", () => this.end(request));
    this.show(file.name, 0);
    request.send(file);
  }

  show(name, share) {
    this.way.hidden = false;
    this.way.querySelector("progress").value = Math.round(share * 100);
    this.way.querySelector("p").textContent = share < 1 ? `Sending ${name}` : `Reading ${name}`;
  }

  end(request) {
    this.request = null;
    this.way.hidden = true;
    const place = request.getResponseHeader("Location");
    const words = request.getResponseHeader("X-Failure");
    if (request.status === 201 && place) location.assign(place + (this.dataset.after ?? ""));
    else if (words) this.fail(decodeURIComponent(words));
    else if (request.status === 401) location.assign("/sign-in");
    else if (!this.isConnected) return;
    else this.fail(request.status ? "That did not work. Load the page again, then try once more." : "Nothing was sent.");
  }

  fail(words) {
    this.error.textContent = words;
    this.error.hidden = false;
  }
}

customElements.define("exported-upload", ExportedUpload);
