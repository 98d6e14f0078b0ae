// Log panes: fetch what is new, follow, pause when scrolled up, jump to latest, find.
const open = new Set();
const MAX = 2_000_000; // characters kept in the page; the whole file is one download away

function follow(pane) {
  const box = pane.closest(".log");
  const jump = box.querySelector("[data-log-jump]");
  const note = box.querySelector("[data-log-note]");
  let following = true;
  let offset = Number(pane.dataset.logOffset) || 0;
  let live = pane.hasAttribute("data-log-live");
  let attempt = ""; // a job may be tried again: its next log is then read from the beginning
  const atEnd = () => pane.scrollHeight - pane.scrollTop - pane.clientHeight < 24;
  const show = () => {
    jump.hidden = following;
    note.textContent = live ? (following ? "Following" : "Paused") : "";
  };
  const end = () => { pane.scrollTop = pane.scrollHeight; following = true; show(); };
  pane.addEventListener("scroll", () => { following = atEnd(); show(); }, { passive: true });
  jump.addEventListener("click", end);

  function add(text) {
    const stay = following;
    pane.append(text);
    while (pane.textContent.length > MAX && pane.childNodes.length > 1) pane.firstChild.remove();
    if (stay) end();
  }

  async function more() {
    if (!pane.isConnected) return;
    let hurry = false;
    if (!document.hidden) {
      try {
        const url = new URL(pane.dataset.log, location.href);
        url.searchParams.set("offset", offset);
        if (attempt) url.searchParams.set("attempt", attempt);
        const response = await fetch(url, { headers: { Accept: "text/plain" }, cache: "no-store", redirect: "manual" });
        if (response.ok) {
          const text = await response.text();
          const next = Number(response.headers.get("X-Next-Offset"));
          live = response.headers.get("X-Live") === "1";
          hurry = next - offset > 100_000; // a long log is being caught up with
          if (text && next > offset) {
            add(text);
            offset = next;
          }
          attempt = response.headers.get("X-Attempt") || attempt;
          const after = response.headers.get("X-Next-Attempt");
          if (after) {
            if (offset) add(`\n──── attempt ${after} ────\n`);
            attempt = after;
            offset = 0;
            hurry = true;
          }
        } else if (response.status < 500) live = false;
      } catch { /* the studio is away for a moment: the next round tries again */ }
    }
    show();
    if (live) setTimeout(more, hurry ? 50 : 1500);
  }

  const search = box.querySelector("[data-log-search]");
  const hits = box.querySelector("[data-log-hits]");
  let at = -1;
  function find() {
    const wanted = search.value.toLowerCase();
    const found = [];
    CSS.highlights?.delete("found");
    if (wanted) {
      for (const node of pane.childNodes) {
        const text = node.textContent.toLowerCase();
        for (let i = text.indexOf(wanted); i >= 0 && found.length < 5000; i = text.indexOf(wanted, i + wanted.length)) {
          found.push(new StaticRange({ startContainer: node, startOffset: i, endContainer: node, endOffset: i + wanted.length }));
        }
      }
      if (found.length && window.Highlight) CSS.highlights.set("found", new Highlight(...found));
    }
    hits.textContent = wanted ? `${found.length ? Math.min(at + 1, found.length) || 1 : 0} of ${found.length}` : "";
    return found;
  }
  search.addEventListener("input", () => { at = -1; find(); });
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    const found = find();
    if (!found.length) return;
    at = (at + (event.shiftKey ? -1 : 1) + found.length) % found.length;
    const range = new Range();
    range.setStart(found[at].startContainer, found[at].startOffset);
    pane.scrollTop += range.getBoundingClientRect().top - pane.getBoundingClientRect().top - pane.clientHeight / 2;
    find();
  });

  end();
  if (live && pane.dataset.log) more();
}

export function openAll() {
  for (const pane of document.querySelectorAll("[data-log]")) if (!open.has(pane)) { open.add(pane); follow(pane); }
}
