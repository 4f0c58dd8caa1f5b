// An htmx swap style: hx-swap="place" puts bubbles where their key says, or morphs the one that is there already.
let morph;

function place(list, fragment) {
  const placed = [];
  for (const fresh of [...fragment.children]) {
    const known = document.getElementById(fresh.id);
    if (Number(known?.dataset.asOf) > Number(fresh.dataset.asOf)) continue; // an answer that the line has overtaken
    if (known) {
      fresh.classList.toggle("opens-day", known.classList.contains("opens-day"));
      const only = document.createDocumentFragment();
      only.append(fresh);
      morph(known, only, false);
      placed.push(known);
    } else {
      if (insert(list, fresh)) placed.push(fresh);
      list.dispatchEvent(new CustomEvent("added", { detail: fresh, bubbles: true }));
    }
  }
  return placed;
}

// Messages come nearly in order, so the search begins at the end. One that belongs beyond what is loaded (older
// than all while there is more above, newer than all while there is more below) is left for when that is loaded.
function insert(list, fresh) {
  const messages = list.getElementsByClassName("message");
  let at = messages.length - 1;
  while (at >= 0 && messages[at].dataset.key > fresh.dataset.key) at--;
  if (at < 0 && list.querySelector(".more:not(.newer)")) return false;
  if (at === messages.length - 1 && list.querySelector(".newer")) return false;
  if (at >= 0) messages[at].after(fresh);
  else if (messages.length) messages[0].before(fresh);
  else list.append(fresh);
  return true;
}

htmx.registerExtension("place", {
  init: (api) => (morph = api.morph),
  handle_swap: (style, target, fragment) => style === "place" && place(target, fragment),
});
