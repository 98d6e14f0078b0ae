"""Axe's rules of accessibility on a page: injected once a page, and only what it finds comes back."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: two frames, after which a change of theme has been painted, and the transitions that it began are over
PAINTED = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
  for (const one of document.getAnimations()) if (one instanceof CSSTransition) one.finish();
  requestAnimationFrame(done);
})))"""
#: from the ninth row on a table repeats itself
RUN = """([part, rules]) => axe.run({
  include: [part || ":root"], exclude: ["tbody > tr:nth-child(n + 9)"],
}, {
  resultTypes: ["violations"], preload: false, ...(rules.length ? { runOnly: rules } : {}),
}).then((found) => found.violations.flatMap((one) => one.nodes.map(
  (node) => `${one.id}: ${node.target} ${node.failureSummary}`)))"""
#: the rules whose outcome depends on the theme
OF_COLOUR = ("color-contrast", "link-in-text-block")


@cache
def _script() -> str:
    from axe_playwright_python.sync_playwright import Axe

    return str(Axe().axe_script)


def violations(page: Page, part: str = "", rules: tuple[str, ...] = ()) -> list[str]:
    """What axe finds in the page (or in the part that a selector names) as it stands now, a line for each."""
    page.evaluate(PAINTED)
    if not page.evaluate("typeof window.axe === 'object'"):
        page.evaluate(_script())
    return list(page.evaluate(RUN, [part, list(rules)]))
