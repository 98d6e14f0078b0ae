// Tables: select all, the tally of what is picked, and a compare link that knows the picks.
const scopeOf = (node) => node.closest(".bulk-scope");

function tally(scope) {
  const picks = [...scope.querySelectorAll("tbody .pick input")];
  const chosen = picks.filter((box) => box.checked);
  const all = scope.querySelector("thead .pick input");
  if (all) { all.checked = chosen.length > 0 && chosen.length === picks.length; all.indeterminate = chosen.length > 0 && chosen.length < picks.length; }
  for (const place of scope.querySelectorAll("[data-picked]")) place.textContent = chosen.length;
  for (const button of scope.querySelectorAll("[data-min-picked]")) {
    button.disabled = chosen.length < Number(button.dataset.minPicked) || chosen.length > Number(button.dataset.maxPicked || Infinity);
  }
}

let last = null;
document.addEventListener("click", (event) => {
  const box = event.target.closest(".pick input");
  if (!box) return;
  const scope = scopeOf(box);
  if (!scope) return;
  const picks = [...scope.querySelectorAll("tbody .pick input")];
  if (box.closest("thead")) for (const pick of picks) pick.checked = box.checked;
  else if (event.shiftKey && last?.isConnected) {
    const [from, to] = [picks.indexOf(last), picks.indexOf(box)].sort((a, b) => a - b);
    for (const pick of picks.slice(from, to + 1)) pick.checked = box.checked;
  }
  last = box.closest("tbody") ? box : null;
  tally(scope);
});
document.addEventListener("atelier:picked", (event) => tally(scopeOf(event.target)));
document.addEventListener("click", (event) => {
  const clear = event.target.closest("[data-clear-picks]");
  if (!clear) return;
  const scope = scopeOf(clear);
  for (const pick of scope.querySelectorAll(".pick input")) pick.checked = false;
  tally(scope);
});
document.querySelectorAll(".bulk-scope").forEach(tally);
