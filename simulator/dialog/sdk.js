// What pages use of Meta's JavaScript SDK: FB.init, and FB.login with a window that gives a code.
(() => {
  const home = new URL(document.currentScript.src).origin;
  const CLOSED = { status: "unknown", authResponse: null };
  const WATCH_MS = 250;
  let app;

  function login(answered, { config_id, response_type, override_default_response_type, extras }) {
    if (!app) return console.error("FB.login() called before FB.init().");
    if (!override_default_response_type) response_type = "token";
    const state = crypto.randomUUID();
    const asked = { client_id: app, config_id, response_type, extras: JSON.stringify(extras), state, origin: location.origin };
    const opened = window.open(`${home}/dialog?${new URLSearchParams(asked)}`, state, "popup,width=620,height=760");
    if (!opened) return answered(CLOSED);
    let hasEnded = false;
    const end = (answer) => {
      if (hasEnded) return;
      hasEnded = true;
      clearInterval(watch);
      removeEventListener("message", hear);
      answered(answer);
    };
    const hear = ({ origin, data }) => {
      if (origin === home && data?.login === state) end(data.answer);
    };
    // What the window said last may still be under way when it is closed.
    const watch = setInterval(() => opened.closed && setTimeout(() => end(CLOSED), WATCH_MS), WATCH_MS);
    addEventListener("message", hear);
  }

  function init({ appId, version }) {
    if (!/^v\d+\.\d+$/.test(version)) throw new Error("init not called with valid version");
    app = appId;
  }

  window.FB = { init, login };
  window.fbAsyncInit?.();
})();
