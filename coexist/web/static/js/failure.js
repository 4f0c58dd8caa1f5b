// What could not be done, in words, until it is done, its place on the page is gone, or somebody has closed it.
const line = document.getElementById("failure");
let failed;

function show(words, source) {
  if (!line) return;
  failed = source;
  line.querySelector("span").textContent = words;
  line.hidden = false;
}

const hide = () => line && (line.hidden = true);

line?.querySelector("button").addEventListener("click", hide);
addEventListener("online", hide);

document.addEventListener("htmx:response:error", ({ detail: { ctx } }) => {
  const words = ctx.response.headers.get("X-Failure");
  show(words ? decodeURIComponent(words) : "That did not work. Load the page again, then try once more.", ctx.sourceElement);
});

document.addEventListener("htmx:error", ({ detail: { ctx } }) => {
  if (ctx) show("The server cannot be reached. Nothing was changed; try again in a moment.", ctx.sourceElement);
});

// htmx tells of a swap after a refusal, too, which changes nothing; and other parts of a page are swapped all the time.
document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
  if (ctx?.response?.status >= 400) return;
  if (ctx?.sourceElement === failed || !failed?.isConnected) hide();
});
