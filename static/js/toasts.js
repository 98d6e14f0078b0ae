// Messages at the foot of the page. Good news leaves by itself, bad news stays until dismissed.
const shelf = () => document.getElementById("toasts");

function settle(toast) {
  if (toast.matches(".tone-green, .tone-slate")) setTimeout(() => { if (!toast.matches(":hover, :focus-within")) toast.remove(); }, 6000);
}

export function say(text, tone = "slate") {
  const toast = document.createElement("div");
  toast.className = `toast tone-${tone}`;
  const words = document.createElement("span");
  words.textContent = text;
  const close = document.createElement("button");
  Object.assign(close, { type: "button", className: "icon-button tiny", textContent: "×" });
  close.setAttribute("aria-label", "Dismiss");
  close.dataset.dismiss = "";
  toast.append(words, close);
  shelf().append(toast);
  settle(toast);
}

document.addEventListener("click", (event) => { if (event.target.closest("[data-dismiss]")) event.target.closest(".toast").remove(); });
document.addEventListener("htmx:responseError", (event) => {
  const { status } = event.detail.xhr;
  if (status === 401) location.reload();
  else say(status >= 500 ? "The studio could not do that. Try again in a moment." : `That was refused (${status}).`, "red");
});
document.addEventListener("htmx:sendError", () => say("The studio cannot be reached. Is it still running?", "red"));
for (const toast of shelf()?.children ?? []) settle(toast);
