"""The order of nodes: cycles, layers, and what stands behind what. Pure functions over name -> needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Graph:
    """layers: names by their distance from the start, each layer in the order of the definition. needs: what each
    node waits for. order: all names, every node after what it needs."""

    layers: tuple[tuple[str, ...], ...]
    needs: Mapping[str, tuple[str, ...]]

    @property
    def order(self) -> list[str]:
        """All names, layer by layer."""
        return [name for layer in self.layers for name in layer]

    @property
    def edges(self) -> list[tuple[str, str]]:
        """(needed, waiting) pairs, in order."""
        return [(need, name) for name in self.order for need in self.needs[name]]

    def layer_of(self, name: str) -> int:
        """0 for a node that waits for nothing."""
        return next(index for index, layer in enumerate(self.layers) if name in layer)

    def behind(self, names: Iterable[str]) -> set[str]:
        """Every node that waits, directly or through others, for one of these."""
        reached = set(names)
        found: set[str] = set()
        for name in self.order:
            if reached.intersection(self.needs[name]):
                reached.add(name)
                found.add(name)
        return found


def find_cycle(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """A circle of waiting as the names along it in the direction of the work, the first one again at the end
    ("a", "b", "a": b needs a, and a needs b); empty when there is none. Unknown names are passed over."""
    state: dict[str, str] = {}
    for start in needs:
        if start in state:
            continue
        trail: list[str] = [start]
        walks = [iter(needs[start])]
        state[start] = "open"
        while walks:
            step = next((name for name in walks[-1] if name in needs and state.get(name) != "done"), None)
            if step is None:
                state[trail.pop()] = "done"
                walks.pop()
            elif state.get(step) == "open":
                circle = trail[trail.index(step) :]
                return [circle[0], *reversed(circle[1:]), circle[0]]
            else:
                state[step] = "open"
                trail.append(step)
                walks.append(iter(needs[step]))
    return []


def lay_out(needs: Mapping[str, Iterable[str]]) -> Graph:
    """The graph of an acyclic definition: each node one layer behind the last one that it needs."""
    tidy = {name: tuple(dict.fromkeys(n for n in wanted if n in needs)) for name, wanted in needs.items()}
    depth: dict[str, int] = {}
    waiting = list(tidy)
    while waiting:
        ready = [name for name in waiting if all(need in depth for need in tidy[name])]
        if not ready:
            raise ValueError("a graph with a cycle has no layers")
        for name in ready:
            depth[name] = max((depth[need] + 1 for need in tidy[name]), default=0)
        waiting = [name for name in waiting if name not in depth]
    layers = [
        tuple(n for n in tidy if depth[n] == level) for level in range(max(depth.values(), default=-1) + 1)
    ]
    return Graph(tuple(layers), tidy)
