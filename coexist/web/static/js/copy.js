// A button copies what stands in the field before it, which it also selects: where no page may copy, a person can.
document.addEventListener("click", async ({ target }) => {
  const button = target.closest?.("[data-copy]");
  if (!button) return;
  const field = button.previousElementSibling;
  field.select();
  const isCopied = await navigator.clipboard?.writeText(field.value).then(() => true, () => false);
  button.textContent = isCopied || document.execCommand("copy") ? "Copied" : "Copy it by hand";
});
