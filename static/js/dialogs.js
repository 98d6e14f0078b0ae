// Dialogs and menus. <button data-dialog="id"> opens, [data-close] closes, focus returns to the opener.
let opener = null;

export function openDialog(id, from = document.activeElement) {
  const dialog = document.getElementById(id);
  if (!dialog) return;
  opener = from;
  if (!dialog.open) dialog.showModal();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-dialog]");
  if (button) {
    event.preventDefault(); // the browser's own command would open it a second time
    button.closest("details.menu")?.removeAttribute("open");
    openDialog(button.dataset.dialog, button.closest("details.menu")?.querySelector("summary") || button);
  }
  const close = event.target.closest("[data-close]");
  if (close) { event.preventDefault(); close.closest("dialog").close(); }
  if (event.target.nodeName === "DIALOG" && event.target.closedBy === undefined) event.target.close();
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.removeAttribute("open");
  }
});
document.addEventListener("close", () => { if (opener?.isConnected) opener.focus(); opener = null; }, true);

document.addEventListener("keydown", (event) => {
  const menu = event.target.closest?.("details.menu[open]");
  if (!menu) return;
  const items = [...menu.querySelectorAll(".menu-item")];
  const at = items.indexOf(document.activeElement);
  if (event.key === "Escape") { menu.removeAttribute("open"); menu.querySelector("summary").focus(); }
  else if (event.key === "ArrowDown") items[(at + 1) % items.length]?.focus();
  else if (event.key === "ArrowUp") items[(at - 1 + items.length) % items.length]?.focus();
  else return;
  event.preventDefault();
});
