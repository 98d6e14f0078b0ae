// Turns one element into another in place, so that focus, scroll, selection, open menus and what a person has
// typed survive a refresh. Elements with data-keep belong to a script and are left alone.
const keyOf = (node) => (node.nodeType === 1 ? node.id || node.dataset?.key || "" : "");
const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);
// What the person did to the page wins over what the server believes.
const OWN = new Set(["open", "data-cursor"]);

function attributes(from, to) {
  for (const { name } of [...from.attributes]) if (!to.hasAttribute(name) && !OWN.has(name)) from.removeAttribute(name);
  for (const { name, value } of to.attributes) {
    if (OWN.has(name) && ["DETAILS", "DIALOG", "TR"].includes(from.nodeName)) continue;
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
}

export function morph(from, to) {
  if (from.isEqualNode(to)) return from;
  if (!alike(from, to)) { from.replaceWith(to); return to; }
  if (from.nodeType !== 1) { if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue; return from; }
  if (from.hasAttribute("data-keep")) return from;
  attributes(from, to);
  if (from.nodeName === "PROGRESS" && to.hasAttribute("value")) from.value = to.value;
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(from.nodeName)) return from;
  const keyed = new Map();
  for (const child of from.childNodes) if (keyOf(child)) keyed.set(keyOf(child), child);
  let old = from.firstChild;
  for (const fresh of [...to.childNodes]) {
    const key = keyOf(fresh);
    const match = key ? keyed.get(key) : old && !keyOf(old) && alike(old, fresh) ? old : null;
    if (match) {
      keyed.delete(key);
      if (match === old) old = old.nextSibling; else from.insertBefore(match, old);
      morph(match, fresh);
    } else from.insertBefore(fresh, old);
  }
  while (old) { const next = old.nextSibling; old.remove(); old = next; }
  return from;
}
