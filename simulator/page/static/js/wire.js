// Asking the stand-in, and hearing from it.

/** GET JSON from `/control/…`. */
export async function get(path) {
  const answer = await fetch(`/control/${path}`);
  if (!answer.ok) throw new Error((await answer.json()).error);
  return answer.json();
}

/** POST to `/control/…`; what cannot be done is shown on the phone and gives null. */
export async function post(path, body = {}) {
  try {
    const answer = await fetch(`/control/${path}`, { method: "POST", body: JSON.stringify(body) });
    const result = await answer.json();
    if (answer.ok) return result;
    say(result.error);
  } catch {
    say("The stand-in does not answer. Is it still running?");
  }
  return null;
}

/** Show a sentence on the phone for some seconds. */
export function say(sentence) {
  document.dispatchEvent(new CustomEvent("phone:say", { detail: sentence }));
}

const KINDS = ["message", "chat", "template", "delivery", "connection", "refused", "reset"];
let source;

/** Call `act(kind, data)` for every change until the returned function is called. */
export function listen(act) {
  source ??= open();
  const heard = (event) => act(event.detail.kind, event.detail.data);
  document.addEventListener("phone:change", heard);
  return () => document.removeEventListener("phone:change", heard);
}

function open() {
  const stream = new EventSource("/control/stream");
  let lost = false;
  const tell = (kind, data) => document.dispatchEvent(new CustomEvent("phone:change", { detail: { kind, data } }));
  for (const kind of KINDS) stream.addEventListener(kind, (event) => tell(kind, JSON.parse(event.data)));
  stream.addEventListener("error", () => (lost = true));
  stream.addEventListener("open", () => {
    if (lost) tell("reset", {});
    lost = false;
  });
  return stream;
}

/** Run `act` once, `ms` after the last of several calls close together. */
export function gathered(act, ms = 80) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, ms);
  };
}
