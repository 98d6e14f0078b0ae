"""Which isolation tier this machine can give: tried by really doing it, from the strongest down.

`python -m adapters.executors.choosing FOLDER [CEILING]` prints the choice as JSON (for `manage.py doctor`).
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.executors import landlock
from adapters.executors.isolation import HIGHEST, Isolation
from adapters.executors.local import LocalExecutor, clear_folder
from foundation.tasks import Context, SandboxPlan, UserError

PATIENCE = 60.0
ANSWER = b"studio"
NAMES = {
    0: "a clean environment, a session and limits of its own",
    1: "Landlock keeps it to its files and to the studio's port",
    2: "an account and a view of the files of its own",
    3: "processes, files, network and shared memory of its own",
}


@dataclass(frozen=True)
class Choice:
    """The tier that programs get here, and for each stronger one why not, in a sentence."""

    tier: int
    reasons: dict[int, str] = field(default_factory=dict)
    landlock: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For the worker's row: {"tier", "reasons": ["Tier 3: …"], "landlock"}."""
        return {
            "tier": self.tier,
            "reasons": [f"Tier {tier}: {said}" for tier, said in sorted(self.reasons.items())],
            "landlock": self.landlock,
        }


def choose(folder: Path, ceiling: int = HIGHEST) -> Choice:
    """Try the tiers up to the ceiling. folder: where attempts will lie; a folder is made there and removed."""
    version = landlock.version()
    reasons = dict.fromkeys(range(ceiling + 1, HIGHEST + 1), f"ATELIER_ISOLATION is {ceiling}.")
    if not sys.platform.startswith("linux"):
        return Choice(0, reasons | dict.fromkeys(range(1, ceiling + 1), "It exists on Linux only."), version)
    for tier in range(ceiling, 0, -1):
        if problem := _impossible(tier, version) or _attempt(folder, tier):
            reasons[tier] = problem
        else:
            return Choice(tier, reasons, version)
    return Choice(0, reasons, version)


def _impossible(tier: int, version: int) -> str:
    """What is known without trying."""
    if tier == 2 and os.geteuid() != 0:
        return "The worker does not run as root, so it has no accounts to give."
    if tier == 1 and not version:
        return "The kernel has no Landlock (Linux 5.13 or newer, switched on)."
    return ""


def _attempt(folder: Path, tier: int) -> str:
    """Run a program at this tier that looks around. "" when it was shut in as it should be."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    place = Path(tempfile.mkdtemp(prefix="try-", dir=folder))
    secret = place / "secret"
    secret.write_text("seen")
    secret.chmod(0o600)
    given = place / "given"
    given.write_text("given")
    given.chmod(0o600)
    try:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(8)
            port = listener.getsockname()[1]
            threading.Thread(target=_answer, args=(listener,), daemon=True).start()
            executor = LocalExecutor(
                warm=False, threads=1, isolation=Isolation(tier, api=f"http://127.0.0.1:{port}")
            )
            return _run(executor, place, str(secret), str(given), port)  # the listener ends with us
    except OSError as error:
        return f"It cannot be tried: {error}."
    finally:
        clear_folder(place)


def _answer(listener: socket.socket) -> None:
    """The studio's API of a trial."""
    with suppress(OSError):
        connection, _ = listener.accept()
        with connection:
            connection.sendall(ANSWER)


def _run(executor: LocalExecutor, place: Path, secret: str, given: str, port: int) -> str:
    handle = executor.start(
        SandboxPlan(
            program=f"{__name__ if __name__ != '__main__' else 'adapters.executors.choosing'}:look",
            payload={"secret": secret, "tier": executor.tier, "port": port},
            network=True,
            inputs={"given": given},
            warm=False,
            wall_seconds=int(PATIENCE / 2),
        ),
        place / "job",
    )
    try:
        end = handle.wait(PATIENCE)
        report = handle.report()
    finally:
        handle.close()
    if report is not None and report.ok:
        return ""
    if report is not None:
        return report.message.removeprefix(
            "The worker could not isolate the job, so it was not started: "
        ).capitalize()
    return f"The trial left no answer ({end.cause if end is not None else 'no end'})."


def look(ctx: Context) -> dict[str, Any]:
    """The program of the trial: what it must have works, and what it must not reach is out of reach."""
    tier = int(ctx.payload["tier"])
    if ctx.inputs["given"].read_text() != "given":
        raise UserError("It cannot read its inputs.")
    (ctx.outputs / "written").write_text("x")
    with socket.create_connection(("127.0.0.1", ctx.payload["port"]), timeout=10) as api:
        if api.recv(16) != ANSWER:
            raise UserError("It does not reach the studio.")
    try:
        Path(ctx.payload["secret"]).read_text()
    except OSError:
        pass
    else:
        raise UserError("It reads files that are not its own.")
    if tier >= 2 and os.geteuid() == 0:
        raise UserError("It is still root.")
    if tier >= 3 and os.getpid() > 99:
        raise UserError("It is among the processes of the machine.")
    if tier >= 3:
        with open("/proc/net/dev", encoding="ascii") as file:
            names = [line.split(":")[0].strip() for line in file.readlines()[2:]]
        if names != ["lo"]:
            raise UserError(f"It has the interfaces {', '.join(names)}.")
    return {}


def main() -> None:
    """Print the choice for a folder."""
    ceiling = int(sys.argv[2]) if len(sys.argv) > 2 else HIGHEST
    print(json.dumps(choose(Path(sys.argv[1]), ceiling).as_dict()))


if __name__ == "__main__":
    main()
