// Forms: one submission at a time, the cursor on the first error, filters that apply themselves.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || form.dataset.upload !== undefined) return;
  if (form.classList.contains("busy")) { event.preventDefault(); return; }
  form.classList.add("busy");
});
// Coming back with the browser's back button finds the form usable again.
addEventListener("pageshow", () => { for (const form of document.querySelectorAll("form.busy")) form.classList.remove("busy"); });

document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-auto]");
  if (form && event.target.matches("select, input[type=checkbox], input[type=radio]")) form.requestSubmit();
});

// <select data-shows="group">: elements with data-group="group" data-for="value" follow the choice.
function follow(select) {
  for (const part of document.querySelectorAll(`[data-group="${select.dataset.shows}"]`)) {
    const on = part.dataset.for.split(" ").includes(select.value);
    part.hidden = !on;
    if (part.nodeName === "FIELDSET") part.disabled = !on;
  }
}
document.addEventListener("input", (event) => { if (event.target.matches("[data-shows]")) follow(event.target); });
document.querySelectorAll("[data-shows]").forEach(follow);

// <input data-slug-from="name">: proposes a short name from another field, until somebody types one.
for (const slug of document.querySelectorAll("[data-slug-from]")) {
  const source = slug.form.elements[slug.dataset.slugFrom];
  slug.addEventListener("input", () => { slug.dataset.typed = ""; });
  source.addEventListener("input", () => {
    if (slug.value && slug.dataset.typed !== undefined) return;
    slug.value = source.value.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+/, "").slice(0, 40).replace(/-+$/, "");
  });
}

const wrong = document.querySelector(".form-errors, main [aria-invalid=true]");
if (wrong) { wrong.closest("details")?.setAttribute("open", ""); wrong.focus(); }
