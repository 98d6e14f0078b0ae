// Log panes: fetch what is new, follow, pause when scrolled up, show earlier lines, find, go to a line.
// A job's log comes as lines of HTML in pieces, other logs as plain text.
const open = new Set();
const MOST = 8000; // lines kept in the page
const fresh = { cache: "no-store", redirect: "manual" };
const number = (response, name) => Number(response.headers.get(name)) || 0;

function follow(pane) {
  const box = pane.closest(".log");
  const part = (name) => box.querySelector(`[data-log-${name}]`);
  const [jump, note, form, search, hits, earlier] = ["jump", "note", "form", "search", "hits", "earlier"].map(part);
  let following = true, away = false; // away: the lines shown are not those at the end
  let at = { offset: pane.dataset.logOffset, line: pane.dataset.logLine, style: pane.dataset.logStyle || "" };
  let live = pane.hasAttribute("data-log-live"), timer = 0;
  let attempt = ""; // of a job that is tried again, the next log follows
  const atEnd = () => pane.scrollHeight - pane.scrollTop - pane.clientHeight < 24;
  const first = () => pane.querySelector(".log-piece");
  const show = () => {
    jump.hidden = following && !away;
    note.textContent = live ? (following && !away ? "Following" : "Paused") : "";
    earlier.hidden = !(Number(first()?.dataset.start) > 0);
  };
  const end = () => { pane.scrollTop = pane.scrollHeight; following = true; show(); };

  function address(base, values) {
    const url = new URL(base, location.href);
    if (attempt) url.searchParams.set("attempt", attempt);
    for (const [name, value] of Object.entries(values)) if (value !== undefined) url.searchParams.set(name, value);
    return url;
  }
  const ask = (values) => fetch(address(pane.dataset.log, values), fresh);
  function piece(response, html) {
    const span = document.createElement("span");
    span.className = "log-piece";
    span.dataset.start = number(response, "X-Start");
    span.dataset.line = number(response, "X-Line");
    span.innerHTML = html; // the server has escaped what was printed
    return span;
  }
  const forward = (response) => {
    at = { offset: number(response, "X-Next-Offset"), line: number(response, "X-Next-Line"), style: response.headers.get("X-Style") || "" };
  };

  function add(node) {
    const stay = following && !away;
    const still = pane.querySelector("[data-open]"); // the line that could change comes again
    if (still) { const held = still.parentElement; still.remove(); if (!held.childNodes.length) held.remove(); }
    pane.append(node);
    const pieces = pane.querySelectorAll(".log-piece");
    let lines = pane.querySelectorAll(".log-line").length;
    for (const old of stay ? pieces : []) {
      if (lines <= MOST || old === node) break;
      lines -= old.childNodes.length;
      old.remove();
    }
    if (stay) end();
  }

  async function more() {
    clearTimeout(timer);
    if (!pane.isConnected) return;
    let hurry = false;
    if (!document.hidden) {
      try {
        const response = await ask(at);
        if (response.ok) {
          const text = await response.text();
          const plain = response.headers.get("Content-Type")?.startsWith("text/plain");
          const next = number(response, "X-Next-Offset");
          live = response.headers.get("X-Live") === "1";
          hurry = next - at.offset > 100_000; // a long log is being caught up with
          if (text && (!plain || next > at.offset)) add(plain ? document.createTextNode(text) : piece(response, text));
          if (away && response.headers.get("X-Whole") === "1") away = false; // the end is reached
          forward(response);
          attempt = response.headers.get("X-Attempt") || attempt;
          const after = response.headers.get("X-Next-Attempt");
          if (after) {
            if (at.offset) add(document.createTextNode(`\n──── attempt ${after} ────\n`));
            attempt = after;
            for (const old of pane.querySelectorAll(".log-piece")) old.dataset.start = 0; // another log's
            at = { offset: 0, line: 1, style: "" };
            hurry = true;
          }
        } else if (response.status < 500) live = false;
      } catch { /* the studio is away for a moment: the next round tries again */ }
    }
    show();
    if (live && !away) timer = setTimeout(more, hurry ? 50 : 1500);
  }

  earlier.addEventListener("click", async () => {
    const top = first();
    const response = await ask({ before: top.dataset.start, line: top.dataset.line });
    if (!response.ok) return;
    const below = pane.scrollHeight - pane.scrollTop;
    top.before(piece(response, await response.text()));
    pane.scrollTop = pane.scrollHeight - below;
    show();
  });

  // Lines in the place of those that are shown: around one, or (without values) the end.
  async function replace(values) {
    const response = await ask(values);
    if (!response.ok) return;
    pane.replaceChildren(piece(response, await response.text()));
    forward(response);
    clearTimeout(timer);
    away = response.headers.get("X-Whole") !== "1";
  }
  const centre = (what) => { pane.scrollTop += what.getBoundingClientRect().top - pane.getBoundingClientRect().top - pane.clientHeight / 2; };
  async function go(line) {
    const find = () => [...pane.querySelectorAll(`.log-line[data-n="${line}"]`)].pop();
    if (!find()) await replace({ around: line });
    const target = find();
    if (!target) return;
    pane.querySelector("[data-at]")?.removeAttribute("data-at");
    target.setAttribute("data-at", "");
    following = false;
    centre(target);
    show();
  }
  pane.addEventListener("scroll", () => {
    const was = following;
    following = atEnd();
    if (following && away && !was) more();
    show();
  }, { passive: true });
  jump.addEventListener("click", async () => {
    if (away) await replace({});
    end();
    if (live) more();
  });
  pane.addEventListener("click", (event) => {
    const line = event.target.closest(".log-line[data-n]");
    if (!line || event.clientX - line.getBoundingClientRect().left > 48) return;
    history.replaceState(null, "", `#log-${line.dataset.n}`);
    go(line.dataset.n);
  });

  // The server looks through the whole log of a job; other logs are looked through here.
  let chosen = -1, wait = 0;
  const list = () => [...part("found").querySelectorAll("[data-line]")];
  function mark(words) {
    CSS.highlights?.delete("found");
    if (!words || !window.Highlight) return [];
    const ranges = [];
    const walker = document.createTreeWalker(pane, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node && ranges.length < 5000; node = walker.nextNode()) {
      const text = node.data.toLowerCase();
      for (let i = text.indexOf(words); i >= 0; i = text.indexOf(words, i + words.length)) {
        ranges.push(new StaticRange({ startContainer: node, startOffset: i, endContainer: node, endOffset: i + words.length }));
      }
    }
    CSS.highlights.set("found", new Highlight(...ranges));
    return ranges;
  }
  async function find() {
    chosen = -1;
    const words = search.value.toLowerCase();
    const ranges = mark(words);
    if (!pane.dataset.logFind || !words.trim()) {
      part("found").replaceChildren();
      hits.textContent = words ? `${ranges.length} found` : "";
      return;
    }
    const response = await fetch(address(pane.dataset.logFind, { q: search.value }), { ...fresh, headers: { "HX-Request": "true" } }).catch(() => null);
    if (!response || response.status >= 500 || search.value.toLowerCase() !== words) return;
    const found = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("[data-log-found]");
    if (!found) return;
    part("found").replaceWith(document.adoptNode(found));
    count();
  }
  const count = () => {
    const total = Number(part("found").dataset.total);
    hits.textContent = chosen < 0 ? `${total} ${total === 1 ? "line" : "lines"}` : `${chosen + 1} of ${total}`;
  };
  async function step(by) {
    const found = list();
    if (!found.length) {
      const ranges = mark(search.value.toLowerCase());
      if (!ranges.length) return;
      chosen = (chosen + by + ranges.length) % ranges.length;
      const { startContainer, startOffset } = ranges[chosen], range = new Range();
      range.setStart(startContainer, startOffset);
      centre(range);
      hits.textContent = `${chosen + 1} of ${ranges.length}`;
      return;
    }
    chosen = (chosen + by + found.length) % found.length;
    found.forEach((link, n) => n === chosen ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current"));
    found[chosen].scrollIntoView({ block: "nearest" });
    await go(found[chosen].dataset.line);
    mark(search.value.toLowerCase());
    count();
  }
  search.addEventListener("input", () => { clearTimeout(wait); wait = setTimeout(find, 250); });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && search.value) { search.value = ""; find(); event.stopPropagation(); }
    if (event.key === "Enter" && event.shiftKey) { event.preventDefault(); step(-1); }
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (hits.textContent === "") await find();
    step(1);
  });
  box.addEventListener("click", (event) => {
    const link = event.target.closest("[data-log-found] [data-line]");
    if (!link) return;
    event.preventDefault();
    chosen = list().indexOf(link) - 1;
    step(1);
  });

  end();
  const asked = location.hash.match(/^#log-(\d{1,9})$/);
  if (asked && pane.dataset.logFind) go(asked[1]);
  if (live && pane.dataset.log && !away) more();
}

export function openAll() {
  for (const pane of document.querySelectorAll("[data-log]")) if (!open.has(pane)) { open.add(pane); follow(pane); }
}
