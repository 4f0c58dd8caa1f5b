// Meta's JavaScript SDK as a sign-up uses it: how it is loaded, what its window is asked for, whose messages count,
// and of which window they are.
const BLOCKED = "Meta's window cannot be opened: connect.facebook.net is not reached. A content blocker in this browser may stop it; allow it here and load the page again.";
const INSECURE = "Meta's window opens from pages with HTTPS alone. Whoever runs this installation sets COEXIST_BASE_URL to an https address; open the page there.";

/** Load it, then call `done` with what keeps its window from being opened, if anything. */
export function load({ app: appId, version, sdk }, done) {
  if (!isSecureContext && new URL(sdk).protocol === "https:") return done(INSECURE);
  window.fbAsyncInit = () => {
    FB.init({ appId, autoLogAppEvents: true, xfbml: true, version });
    done("");
  };
  const script = Object.assign(document.createElement("script"), { src: sdk, async: true, crossOrigin: "anonymous" });
  script.onerror = () => done(BLOCKED);
  document.head.append(script);
}

/** What the window is asked for: a code, and the way of numbers that live in the phone app. */
function asked({ config: config_id, feature, signupVersion }) {
  const named = { ...(feature !== "none" && { featureType: feature }), ...(signupVersion !== "none" && { version: signupVersion }) };
  const extras = { setup: {}, sessionInfoVersion: "3", ...named };
  return { config_id, response_type: "code", override_default_response_type: true, extras };
}

/** Whether a message came from Meta's site: its host or one below it, by the same scheme and port. */
export function isFrom(origin, siteUrl) {
  if (!URL.canParse(origin)) return false;
  const [from, site] = [new URL(origin), new URL(siteUrl)];
  const isHost = from.hostname === site.hostname || from.hostname.endsWith(`.${site.hostname}`);
  return isHost && from.protocol === site.protocol && from.port === site.port;
}

const openings = new WeakMap();

/** Open Meta's window for `opening`. Which window that is, the SDK does not tell, but it opens it at once. */
export function openFor(opening, answered, dataset) {
  const open = window.open;
  window.open = (...given) => {
    const opened = open.apply(window, given);
    if (opened) openings.set(opened, opening);
    return opened;
  };
  try {
    FB.login(answered, asked(dataset));
  } finally {
    window.open = open;
  }
}

/** The opening that a window speaks of: its own; of a window never seen before, the newest. */
export function openingOf(source, newest) {
  if (source && !openings.has(source)) openings.set(source, newest);
  return openings.get(source) ?? newest;
}
