// Tells the server which message is the newest on the screen. Ids, not times: a late message has an early time.
const PAUSE_MS = 400;

export async function tellRead(url, list) {
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  const ids = [...list.getElementsByClassName("message")].map((each) => Number(each.id.replace("message-", "")));
  if (ids.length === 0) return;
  const body = new URLSearchParams({ up_to: Math.max(...ids) });
  fetch(url, { method: "POST", headers: { "HX-Request": "true" }, body }).catch(() => {}); // the next one tells more
}
