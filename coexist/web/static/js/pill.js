// The quiet pill above the composer: how many are new while one reads further up, and the way down.
export function showPill(pill, fresh) {
  pill.hidden = fresh === null;
  pill.classList.toggle("is-new", fresh > 0);
  const words = !fresh ? "Latest" : fresh === 1 ? "1 new message" : `${fresh} new messages`;
  pill.querySelector("span").textContent = words;
}
