// Lines that are added and removed: [data-lines] holds [data-line]s, the button behind it adds an empty one.
// And [data-editor], a text area for code: Tab indents, Enter keeps the indent, Esc and then Tab leaves.
// Without JavaScript the server's empty lines have to do, and a chosen file travels with the form.
const empty = (line) => {
  const copy = line.cloneNode(true);
  for (const field of copy.querySelectorAll("input")) field.value = field.defaultValue = "";
  for (const field of copy.querySelectorAll("select")) field.selectedIndex = 0;
  for (const field of copy.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  copy.querySelector(".field-errors")?.remove();
  return copy;
};

export function wireAll() {
  for (const button of document.querySelectorAll("[data-line-add], [data-line-remove]")) button.hidden = false;
}

document.addEventListener("click", (event) => {
  const add = event.target.closest("[data-line-add]");
  const remove = event.target.closest("[data-line-remove]");
  if (add) {
    const lines = add.previousElementSibling;
    const line = empty(lines.lastElementChild);
    lines.append(line);
    line.querySelector("input").focus();
  } else if (remove) {
    const line = remove.closest("[data-line]");
    const lines = line.parentElement;
    if (lines.children.length === 1) line.replaceWith(empty(line));
    else line.remove();
    (lines.lastElementChild.querySelector("input") || lines).focus();
  }
});

let leaving = false;
document.addEventListener("keydown", (event) => {
  const area = event.target.closest?.("[data-editor]");
  if (!area) return;
  const free = !event.shiftKey && !event.ctrlKey && !event.metaKey && !event.altKey;
  if (event.key === "Escape") { leaving = true; return; }
  if (event.key === "Tab" && free && !leaving) {
    event.preventDefault();
    document.execCommand("insertText", false, "    "); // keeps the browser's undo, which setRangeText does not
  } else if (event.key === "Enter" && free) {
    const before = area.value.slice(0, area.selectionStart).split("\n").pop();
    const indent = before.match(/^ */)[0] + (/:\s*$/.test(before) ? "    " : "");
    if (indent) { event.preventDefault(); document.execCommand("insertText", false, `\n${indent}`); }
  }
  leaving = false;
});

// <input type="file" data-fills="id">: the chosen text goes into that field, so that it is seen before it runs.
document.addEventListener("change", async (event) => {
  const input = event.target.closest?.("input[data-fills]");
  const file = input?.files[0];
  const area = input && document.getElementById(input.dataset.fills);
  if (!file || !area || file.size > 1024 * 1024) return;
  try {
    area.value = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch { return; } // the server says what is wrong with it
  const name = document.querySelector("[name=entry_point]");
  if (name) name.value = file.name.replace(/[^A-Za-z0-9_.-]/g, "_");
  input.value = "";
  area.focus();
  area.setSelectionRange(0, 0);
});
