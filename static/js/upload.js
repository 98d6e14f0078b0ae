// Uploads with a progress bar and a cancel button: <form data-upload enctype="multipart/form-data">.
// Without JavaScript the form is simply posted.
const wired = new WeakSet();
const size = (n) => { for (const unit of ["B", "kB", "MB", "GB"]) { if (n < 1000 || unit === "GB") return `${n < 10 && unit !== "B" ? n.toFixed(1) : Math.round(n)} ${unit}`; n /= 1000; } };

// The form as the server sends it back, with what a server cannot send back: the chosen file, and after a refusal
// by the gateway everything that was typed.
function takeOver(answer, form, refused) {
  for (const idle of answer.querySelectorAll("noscript")) idle.remove(); // a parsed document shows them
  const fresh = answer.querySelector("form[data-upload]");
  for (const field of fresh?.elements || []) {
    const old = field.name && form.elements.namedItem(field.name);
    if (!old) continue;
    if (field.type === "file") field.files = old.files;
    else if (refused && field.type !== "hidden") field.value = old.value;
  }
  document.getElementById("main").replaceWith(answer);
  document.dispatchEvent(new Event("atelier:changed"));
  const first = answer.querySelector(".form-errors, [aria-invalid=true], .alert");
  if (first) { if (!first.matches("input, select, textarea")) first.tabIndex = -1; first.focus(); first.scrollIntoView({ block: "center" }); }
}

function wire(form) {
  const bar = document.createElement("progress");
  bar.setAttribute("aria-label", "Upload");
  bar.max = 1;
  const line = document.createElement("div");
  line.className = "progress-line";
  const words = document.createElement("span");
  words.setAttribute("role", "status");
  const cancel = Object.assign(document.createElement("button"), { type: "button", className: "button small", textContent: "Cancel the upload" });
  line.append(words, cancel);
  const box = document.createElement("div");
  box.className = "upload-progress";
  box.hidden = true;
  box.append(bar, line);
  (form.querySelector(".form-actions") || form).before(box);

  form.addEventListener("submit", (event) => {
    if (![...form.querySelectorAll("input[type=file]")].some((input) => input.files.length)) return;
    event.preventDefault();
    if (form.classList.contains("busy")) return;
    form.classList.add("busy");
    box.hidden = false;
    bar.value = 0;
    const request = new XMLHttpRequest();
    const started = performance.now();
    const over = (text) => { form.classList.remove("busy"); words.textContent = text; cancel.hidden = true; bar.value = 0; };
    request.upload.onprogress = ({ loaded, total }) => {
      bar.value = loaded / total;
      const rate = loaded / ((performance.now() - started) / 1000);
      const left = Math.ceil((total - loaded) / rate);
      words.textContent = loaded < total ? `${size(loaded)} of ${size(total)} · ${size(rate)}/s${left > 1 ? ` · about ${left} s left` : ""}` : "Received, checking…";
      if (loaded >= total) bar.removeAttribute("value");
    };
    request.onload = () => {
      const page = new URL(request.responseURL || form.action, location.href);
      const refused = page.searchParams.has("problem"); // by the gateway, which has not read what was typed
      if (request.status < 400 && !refused && page.href !== form.action) { location.assign(page); return; }
      if ((request.getResponseHeader("Content-Type") || "").includes("text/html")) {
        // Without its <style>: the nonce of that answer is not this page's, and the policy would complain.
        const answer = new DOMParser().parseFromString(request.responseText.replace(/<style[^>]*><\/style>/g, ""), "text/html").getElementById("main");
        if (answer) { takeOver(answer, form, refused); return; }
      }
      over(request.status === 413 ? "The file is larger than the studio takes." : `The upload was refused (${request.status}).`);
    };
    request.onerror = () => over("The connection broke. Nothing was kept; try again.");
    request.onabort = () => over("Cancelled. Nothing was kept.");
    cancel.hidden = false;
    cancel.onclick = () => request.abort();
    request.open("POST", form.action);
    request.send(new FormData(form));
  });

  for (const input of form.querySelectorAll("input[type=file]")) {
    for (const [name, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) input.addEventListener(name, () => input.classList.toggle("over", over));
    input.addEventListener("change", () => {
      const name = form.querySelector("[data-name-from-file]");
      if (name && !name.value && input.files[0]) name.value = input.files[0].name.replace(/(\.(csv|tsv|txt|jsonl?|ndjson|parquet|xlsx?|gz))+$/i, "").replace(/[^A-Za-z0-9_.-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "").slice(0, 63);
    });
  }
}

export function wireAll() {
  for (const form of document.querySelectorAll("form[data-upload]")) if (!wired.has(form)) { wired.add(form); wire(form); }
}
