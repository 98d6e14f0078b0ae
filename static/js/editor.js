// A text of many lines with their numbers; links with data-goto="line:column" jump into it. Enter keeps the indent;
// Tab leaves it, as everywhere else.
function wire(box) {
  const area = box.querySelector("textarea");
  if (!area || box.querySelector(".code-lines")) return;
  const gutter = document.createElement("div");
  gutter.className = "code-lines";
  gutter.setAttribute("aria-hidden", "true");
  box.prepend(gutter);
  const count = () => {
    const lines = area.value.split("\n").length;
    if (gutter.dataset.count === String(lines)) return;
    gutter.dataset.count = lines;
    gutter.textContent = Array.from({ length: lines }, (_, index) => index + 1).join("\n") + "\n\n";
  };
  const follow = () => { gutter.scrollTop = area.scrollTop; };
  new ResizeObserver(() => { gutter.style.height = `${area.offsetHeight}px`; follow(); }).observe(area);
  area.addEventListener("input", count);
  area.addEventListener("scroll", follow);
  area.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.ctrlKey || event.metaKey || event.altKey) return;
    const before = area.value.slice(0, area.selectionStart).split("\n").pop();
    const indent = before.match(/^ */)[0] + (/[[{]\s*$/.test(before) ? "  " : "");
    if (indent) { event.preventDefault(); document.execCommand("insertText", false, `\n${indent}`); }
  });
  count();
}

export function wireAll() {
  document.querySelectorAll("[data-code]").forEach(wire);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-goto]");
  const area = link && document.querySelector("[data-code] textarea");
  if (!area) return;
  event.preventDefault();
  const [line, column] = link.dataset.goto.split(":").map(Number);
  const lines = area.value.split("\n");
  const before = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
  const start = before + column - 1;
  area.focus();
  area.setSelectionRange(start, Math.min(before + (lines[line - 1] || "").length, start + 40));
  area.scrollTop = (line - 4) * (area.scrollHeight / lines.length);
  area.scrollIntoView({ block: "nearest" });
});
