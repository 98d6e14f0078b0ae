// The keyboard: / searches, g + letter goes, n new, j/k rows, Enter opens, x selects, c compares, ? helps.
import { openDialog } from "atelier/dialogs";

let going = 0;
const rows = () => [...document.querySelectorAll("main table[data-rows] > tbody > tr")];

function move(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((row) => row.hasAttribute("data-cursor"));
  const next = all[Math.max(0, Math.min(all.length - 1, at < 0 ? (step > 0 ? 0 : all.length - 1) : at + step))];
  all[at]?.removeAttribute("data-cursor");
  next.setAttribute("data-cursor", "");
  next.scrollIntoView({ block: "nearest" });
  next.querySelector("a")?.focus({ preventScroll: true });
}

const search = () => import("atelier/search").then((module) => module.open(openDialog));
document.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || !event.target.closest("[data-search]")) return;
  event.preventDefault();
  search();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.closest("input, textarea, select, [contenteditable]") && event.target.type !== "checkbox") {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (document.querySelector("dialog[open]")) return;
  const key = event.key;
  if (Date.now() - going < 1500) {
    going = 0;
    const link = document.querySelector(`[data-go="${CSS.escape(key)}"]`);
    if (link) { event.preventDefault(); link.click(); }
    return;
  }
  const row = document.querySelector("tr[data-cursor]");
  if (key === "g") going = Date.now();
  else if (key === "/" && document.getElementById("search")) { event.preventDefault(); search(); }
  else if (key === "?") openDialog("shortcuts");
  else if (key === "n") { const action = document.querySelector("[data-main-action], .page-actions .primary"); if (action) { event.preventDefault(); action.click(); } }
  else if (key === "j") move(1);
  else if (key === "k") move(-1);
  else if (key === "x") {
    const box = row?.querySelector(".pick input");
    if (box) { box.checked = !box.checked; box.dispatchEvent(new CustomEvent("atelier:picked", { bubbles: true })); }
  } else if (key === "c") document.querySelector("[data-compare]:not(:disabled)")?.click();
});
