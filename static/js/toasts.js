// Messages at the foot of the page. Good news leaves by itself, later when it can be undone; bad news stays.
const shelf = () => document.getElementById("toasts");

function settle(toast) {
  if (toast.matches(".tone-green, .tone-slate")) setTimeout(() => { if (!toast.matches(":hover, :focus-within")) toast.remove(); }, toast.querySelector("[data-undo]") ? 20000 : 6000);
}

function say(text, tone = "slate") {
  const toast = document.createElement("div");
  toast.className = `toast tone-${tone}`;
  toast.innerHTML = '<span></span><button type="button" class="icon-button tiny" data-dismiss aria-label="Dismiss">×</button>';
  toast.firstChild.textContent = text;
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
