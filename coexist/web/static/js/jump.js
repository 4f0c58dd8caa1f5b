// A quote leads to its message: here if it is loaded, else by a page around it.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-conversation]");
  if (!link) return;
  const id = link.hash.slice(1);
  if (document.querySelector("message-list")?.show(id)) event.preventDefault();
  else link.href = `/conversations/${link.dataset.conversation}?at=${id.replace("message-", "")}#${id}`;
});
