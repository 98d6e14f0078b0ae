"""The tiers that this machine has, each with an executor of its own, and somebody to attack."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.executors import landlock
from adapters.executors.choosing import choose
from adapters.executors.isolation import Isolation
from adapters.executors.local import LocalExecutor
from foundation.tasks import SandboxPlan

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = "tests.jobs.hostile.programs"
VICTIM = """
import sys, time
sys.path.insert(0, {platform!r})
from adapters.executors.confine import hide_process
hide_process()
print("ready", flush=True)
time.sleep(600)  # victim
"""


@dataclass
class Target:
    """What a hostile job is aimed at: a process that hides as the worker does, files, sockets and ports."""

    folder: Path
    aim: dict[str, Any]
    api: int


@pytest.fixture(scope="session")
def tiers(tmp_path_factory: pytest.TempPathFactory) -> list[int]:
    """What this machine can do."""
    place = tmp_path_factory.mktemp("choice")
    found = [0]
    for tier in (1, 2, 3):
        if choose(place, tier).tier == tier:
            found.append(tier)
    return found


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("home")
    folder.chmod(0o700)
    (folder / "secret-key").write_text("do-not-tell")
    (folder / "secret-key").chmod(0o600)
    shared = Path("/dev/shm") / f"atelier-test-{uuid.uuid4().hex}"
    shared.write_text("somebody's")
    shared.chmod(0o600)
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM.format(platform=str(ROOT / "platform"))],
        stdout=subprocess.PIPE,
        env={"SECRET": "do-not-tell", "PATH": os.defpath},
    )
    assert victim.stdout is not None
    assert victim.stdout.readline() == b"ready\n"
    abstract = f"\0atelier-{uuid.uuid4().hex}"
    private = folder / "postgres.sock"
    if len(str(private)) > 100:
        private = Path("/tmp") / f"atelier-test-{uuid.uuid4().hex}" / "s"
        private.parent.mkdir(mode=0o700)
    sockets = [_listen(socket.AF_UNIX, str(private)), _listen(socket.AF_UNIX, abstract)]
    port, api = _listen(socket.AF_INET, ("127.0.0.1", 0)), _listen(socket.AF_INET, ("127.0.0.1", 0))
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagram.bind(("127.0.0.1", 0))
    threading.Thread(target=_echo, args=(datagram,), daemon=True).start()
    threading.Thread(target=_serve, args=(api,), daemon=True).start()
    yield Target(
        folder,
        {
            "victim": victim.pid, "file": str(folder / "secret-key"), "folder": str(folder),
            "shared": str(shared), "socket": str(private), "abstract": abstract,
            "port": port.getsockname()[1], "api": api.getsockname()[1],
            "datagram": datagram.getsockname()[1],
        },
        api.getsockname()[1],
    )  # fmt: skip
    victim.kill()
    victim.wait()
    for one in (*sockets, port, api, datagram):
        one.close()
    shared.unlink()
    private.unlink()
    if private.parent != folder:
        private.parent.rmdir()


def _listen(family: int, address: Any) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen(64)
    return listener


def _echo(sock: socket.socket) -> None:
    with suppress(OSError):
        while True:
            data, sender = sock.recvfrom(64)
            sock.sendto(data, sender)


def _serve(listener: socket.socket) -> None:
    """An API that shouts back whatever it is told, line by line."""
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_shout, args=(connection,), daemon=True).start()


def _shout(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        said = b""
        while not said.endswith(b"\n"):
            data = connection.recv(65536)
            if not data:
                return
            said += data
        connection.sendall(said.upper())


@pytest.fixture(scope="module")
def executor_of(
    tiers: list[int], target: Target, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[int], LocalExecutor]]:
    """A warm executor of a tier; the test is skipped where the machine does not have it."""
    made: dict[int, LocalExecutor] = {}

    def give(tier: int) -> LocalExecutor:
        if tier not in tiers:
            pytest.skip(f"this machine has no isolation tier {tier}")
        if tier not in made:
            isolation = Isolation(tier, api=f"http://127.0.0.1:{target.api}", readable=(str(ROOT / "tests"),))
            made[tier] = LocalExecutor(
                modules=["json"], scratch=tmp_path_factory.mktemp("parent"), isolation=isolation
            )
            made[tier].warm_up()
            assert made[tier].ready(60) is not None
        return made[tier]

    yield give
    for executor in made.values():
        executor.close()


Run = Callable[..., tuple[Any, Any]]


@pytest.fixture
def run(executor_of: Callable[[int], LocalExecutor], tmp_path: Path) -> Run:
    """run(tier, program, **plan) -> (report, end)."""

    def start(tier: int, program: str, **plan: Any) -> tuple[Any, Any]:
        handle = executor_of(tier).start(
            SandboxPlan(program=f"{PROGRAMS}:{program}", **plan), tmp_path / "job"
        )
        end = handle.wait(60)
        assert end is not None
        report = handle.report()
        handle.close()
        return report, end

    return start


def kernel(feature: str) -> bool:
    """Whether the kernel's Landlock has a feature."""
    return landlock.version() >= {"ports": 4, "scopes": 6}[feature]
