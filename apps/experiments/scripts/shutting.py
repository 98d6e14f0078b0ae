"""How far a script is shut in, in words: by the weakest of the workers that are there now."""

from __future__ import annotations

from dataclasses import dataclass

from apps.experiments.scripts.spec import DISK_BYTES
from apps.jobs.nodes import living

ALWAYS = (
    "A process of its own with a cleaned environment, a token of this run that dies with it, and limits of time, "
    f"memory, processes and {DISK_BYTES / 1e9:.0f} GB of files beside its inputs. "
)
NOBODY = "No worker is there now; the page of the worker that takes the run will tell its isolation tier."
TIERS = {
    0: "It runs under the studio's own account and can reach the network, the services of this machine included. ",
    1: "Isolation tier 1: the kernel keeps it to its own folder, the files of the system and of Python, and the port "
    "of this studio (Landlock). It runs under the studio's own account and can still speak to services of this "
    "machine through their sockets, MLflow's own server among them: allow it only to people whom you trust with "
    "all projects.",
    2: "Isolation tier 2: an account of its own, which sees the system, Python, its inputs and its own folder, and "
    "nothing else. Of the network it reaches the port of this studio; datagrams are not stopped.",
    3: "Isolation tier 3: it sees the system, Python, its inputs and its own folder, no process but its own, and it "
    "reaches no address but this studio's API.",
}
WITH_LANDLOCK = (
    "Isolation tier 0, and the kernel keeps it to its own folder and to the files of the system and of Python "
    "(Landlock): it reads no other project's files and none of the studio's secrets. "
)
WITHOUT_LANDLOCK = (
    "Isolation tier 0: the script can read whatever that account can read, other projects' files and the studio's "
    "secrets included. "
)


@dataclass(frozen=True)
class Isolation:
    """What keeps a script in, and what does not. tone: of the box, amber where somebody should think twice."""

    words: str
    tone: str


def isolation() -> Isolation:
    """Of the weakest worker that is there."""
    rows = list(living().values_list("tier", "about"))
    if not rows:
        return Isolation(ALWAYS + NOBODY, "slate")
    tier, about = min(rows, key=lambda row: row[0])
    if tier:
        return Isolation(ALWAYS + TIERS[min(tier, 3)], "amber" if tier == 1 else "slate")
    landlock = (about.get("isolation") or {}).get("landlock")
    return Isolation(ALWAYS + (WITH_LANDLOCK if landlock else WITHOUT_LANDLOCK) + TIERS[0].strip(), "amber")
