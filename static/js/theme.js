// The theme and the folded rail, kept in localStorage (read before the first paint) and in a cookie.
const root = document.documentElement;
const current = () => root.dataset.theme || "system";

function keep(name, value) {
  try { localStorage.setItem(name, value); } catch { /* private windows may refuse: the cookie remains */ }
  document.cookie = `${name}=${value}; path=/; max-age=31536000; samesite=lax`;
}

function show() {
  for (const button of document.querySelectorAll("[data-theme-choice]")) {
    button.setAttribute("aria-pressed", String(button.dataset.themeChoice === current()));
  }
}

document.addEventListener("click", (event) => {
  const choice = event.target.closest("[data-theme-choice]");
  if (choice) {
    const wanted = choice.dataset.themeChoice;
    if (wanted === "system") delete root.dataset.theme; else root.dataset.theme = wanted;
    keep("theme", wanted);
    show();
    document.dispatchEvent(new Event("atelier:theme"));
  }
  if (event.target.closest("[data-rail-toggle]")) {
    const narrow = root.dataset.rail !== "narrow";
    if (narrow) root.dataset.rail = "narrow"; else delete root.dataset.rail;
    keep("rail", narrow ? "narrow" : "wide");
    window.dispatchEvent(new Event("resize"));
  }
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("atelier:theme")));
show();
