// Live parts: <section id data-poll="URL" data-poll-since="ISO">. The server ends it by leaving data-poll out.
import { morph } from "atelier/morph";

const watched = new Map();
const title = document.title;

export function pause(since) {
  const age = (Date.now() - since) / 1000;
  return age < 60 ? 2000 : age < 600 ? 5000 : 15000;
}

function announce() {
  // Plotly's own buttons carry a data-title too: "Download plot as a PNG"
  const progress = document.querySelector("[data-title]:not(.js-plotly-plot *)")?.dataset.title;
  document.title = progress || title;
}

async function refresh(id) {
  const state = watched.get(id);
  const element = document.getElementById(id);
  if (!element?.dataset.poll) { watched.delete(id); return; }
  if (document.hidden) { state.due = true; return; }
  state.due = false;
  let failed = false;
  try {
    const headers = { "HX-Request": "true" };
    if (state.etag) headers["If-None-Match"] = state.etag;
    const response = await fetch(element.dataset.poll, { headers, redirect: "manual", cache: "no-store" });
    if (response.status === 200) {
      state.etag = response.headers.get("ETag");
      const text = await response.text();
      if (text !== state.text) {
        state.text = text;
        const fresh = new DOMParser().parseFromString(text, "text/html").body.firstElementChild;
        if (fresh) { morph(document.getElementById(id), document.adoptNode(fresh)); announce(); document.dispatchEvent(new Event("atelier:changed")); }
      }
    } else if (response.status >= 500) failed = true;
    else if (response.status !== 304) { watched.delete(id); return; } // signed out, gone, not ours any more
  } catch { failed = true; }
  if (!document.getElementById(id)?.dataset.poll) { watched.delete(id); return; }
  state.failures = failed ? state.failures + 1 : 0;
  state.timer = setTimeout(refresh, pause(state.since) * Math.min(8, 2 ** state.failures), id);
}

export function startPolling() {
  announce();
  for (const element of document.querySelectorAll("[data-poll]")) {
    if (!element.id || watched.has(element.id)) continue;
    const since = Date.parse(element.dataset.pollSince) || Date.now();
    const state = { since, failures: 0, etag: null, text: null, due: false };
    watched.set(element.id, state);
    state.timer = setTimeout(refresh, pause(since), element.id);
  }
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) for (const [id, state] of watched) if (state.due) refresh(id);
});
