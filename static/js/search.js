// The search dialog: asks the search page for its results while one types; the arrows choose, Enter opens.
const dialog = document.getElementById("search");
const field = dialog.querySelector("input[type=search]");
const list = document.getElementById("search-results");
let timer, asked = 0, chosen = null;

const options = () => [...list.querySelectorAll("[role=option]")];

function choose(option) {
  chosen?.removeAttribute("aria-selected");
  chosen = option || null;
  chosen?.setAttribute("aria-selected", "true");
  chosen?.scrollIntoView({ block: "nearest" });
  if (chosen) field.setAttribute("aria-activedescendant", chosen.id); else field.removeAttribute("aria-activedescendant");
}

function show(html) {
  list.innerHTML = html;
  field.setAttribute("aria-expanded", String(options().length > 0));
  choose(options()[0]);
}

async function ask() {
  const mine = ++asked;
  if (!field.value.trim()) return show("");
  const query = new URLSearchParams(new FormData(field.form));
  try {
    const response = await fetch(`${field.form.action}?${query}`, { headers: { "HX-Request": "true" } });
    if (mine === asked && response.status === 200) show(await response.text());
    else if (response.status === 204) location.reload(); // signed out meanwhile
  } catch { /* the next key asks again */ }
}

field.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, 120); });
field.addEventListener("keydown", (event) => {
  const all = options();
  const at = all.indexOf(chosen);
  if (event.key === "ArrowDown") choose(all[(at + 1) % all.length]);
  else if (event.key === "ArrowUp") choose(all[(at - 1 + all.length) % all.length]);
  else if (event.key === "Enter" && chosen) chosen.click();
  else if (event.key === "Escape") dialog.close(); // the browser would only empty the field
  else return;
  event.preventDefault();
});

export function open(openDialog) {
  openDialog("search");
  field.select();
  if (field.value) ask();
}
