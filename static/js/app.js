// The entry: wires every behaviour once; the parts listen on the document, so swapped content needs no wiring.
import "atelier/theme";
import "atelier/copy";
import "atelier/dialogs";
import "atelier/toasts";
import "atelier/forms";
import "atelier/tables";
import "atelier/keyboard";
import { refreshTimes } from "atelier/times";
import { startPolling } from "atelier/poll";

const lazily = [
  ["[data-figure]", () => import("atelier/charts").then((m) => m.drawAll())],
  ["[data-log]", () => import("atelier/logs").then((m) => m.openAll())],
  ["[data-lines], [data-editor]", () => import("atelier/lines").then((m) => m.wireAll())],
  ["[data-code]", () => import("atelier/editor").then((m) => m.wireAll())],
  ["form[data-upload]", () => import("atelier/upload").then((m) => m.wireAll())],
];

function settle() {
  refreshTimes();
  startPolling();
  for (const [selector, load] of lazily) if (document.querySelector(selector)) load();
}

settle();
document.addEventListener("htmx:afterSettle", settle);
document.addEventListener("atelier:changed", settle);

// After htmx replaced the main content, the keyboard continues there.
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id === "main") event.target.focus({ preventScroll: true });
});
