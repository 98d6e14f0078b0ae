"""Further machines for the arena: worker hosts in network namespaces of their own, joined to the servers by cables
that can be pulled and with power that can be cut. Without root, or without `ip`, they are separate homes on this
machine, and only the power can be cut.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from runtime import valkey
from runtime.home import read_text
from tests.faults.arena import Arena, until
from tests.support.studio import ROOT, clean_environment

Target = Path | tuple[str, int]


def namespaces_work() -> bool:
    """Whether this machine lets us make network namespaces."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None:
        return False
    name = f"atprobe{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True)
    if made.returncode:
        return False
    subprocess.run(["ip", "netns", "del", name], capture_output=True)
    return True


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"


class Gate:
    """A port of the network `address` that leads to a server of this machine (its socket, or a loopback port)."""

    def __init__(self, address: str, target: Target) -> None:
        self.target = target
        self._listener = socket.create_server((address, 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Nobody gets in any more."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        family = socket.AF_UNIX if isinstance(self.target, Path) else socket.AF_INET
        with client, socket.socket(family, socket.SOCK_STREAM) as server:
            try:
                server.connect(str(self.target) if isinstance(self.target, Path) else self.target)
            except OSError:
                return
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join(5)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@dataclass
class Host:
    """One machine with one worker. `space` is its network namespace, "" without."""

    name: str
    home: Path
    space: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of its worker."""
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        """What its worker wrote."""
        return read_text(self.home / "worker.log")

    def cut_power(self) -> None:
        """Every process of the machine is gone at once."""
        assert self.process is not None
        if self.space:
            found = subprocess.run(["ip", "netns", "pids", self.space], capture_output=True, text=True)
            pids = [int(pid) for pid in found.stdout.split()]
        else:
            pids = [self.pid, *(child.pid for child in psutil.Process(self.pid).children(recursive=True))]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        self.process.wait()

    def pull_cable(self) -> None:
        """Nothing comes in or goes out, and nobody is told."""
        _ip("-n", self.space, "link", "set", "eth0", "down")

    def plug_in(self) -> None:
        """The cable is back."""
        _ip("-n", self.space, "link", "set", "eth0", "up")


@dataclass
class Lan:
    """The machines, and the gates through which they reach the arena's servers."""

    arena: Arena
    spaced: bool
    address: str
    bridge: str = ""
    gates: list[Gate] = field(default_factory=list)
    hosts: list[Host] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, **settings: str) -> Host:
        """Switch on a machine whose worker serves the queue cpu with two slots, unless `settings` say otherwise."""
        host = Host(name, Path(tempfile.mkdtemp(prefix=f"atelier-{name}-")))
        self.hosts.append(host)
        command = [sys.executable, "-m", "tests.faults.process", "worker"]
        if self.spaced:
            host.space = self._space(len(self.hosts))
            named = f'hostname {name} && exec "$@"'
            command = [
                "ip",
                "netns",
                "exec",
                host.space,
                "unshare",
                "--uts",
                "sh",
                "-c",
                named,
                "sh",
                *command,
            ]
        with (host.home / "worker.log").open("ab") as log:
            host.process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=clean_environment(host.home, **{**self.environment, **settings}),
            )
        return host

    def _space(self, number: int) -> str:
        space, outside = f"{self.bridge}-{number}", f"{self.bridge}v{number}"
        _ip("netns", "add", space)
        _ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("link", "set", outside, "master", self.bridge, "up")
        _ip(
            "-n", space, "address", "add", f"{self.address.rpartition('.')[0]}.{number + 1}/24", "dev", "eth0"
        )
        _ip("-n", space, "link", "set", "eth0", "up")
        _ip("-n", space, "link", "set", "lo", "up")
        return space

    def worker_of(self, host: Host) -> str:
        """The name of a host's worker; "" as long as it has not registered."""
        rows = self.arena.sql("select name from jobs_worker where pid = %s and kind = 'worker'", host.pid)
        return str(rows[0][0]) if rows else ""

    def wait_for(self, *hosts: Host) -> None:
        """Until their workers have registered."""
        for host in hosts:

            def here(host: Host = host) -> bool:
                assert host.process is not None
                assert host.process.poll() is None, host.log
                return bool(self.worker_of(host))

            until(here, 120, lambda host=host: host.log)

    def end(self) -> None:
        """Switch everything off and take it away."""
        for host in self.hosts:
            if host.process is not None and host.process.poll() is None:
                host.cut_power()
            if host.space:
                subprocess.run(["ip", "netns", "del", host.space], capture_output=True)
            shutil.rmtree(host.home, ignore_errors=True)
        for gate in self.gates:
            gate.stop()
        if self.bridge:
            subprocess.run(["ip", "link", "del", self.bridge], capture_output=True)


@contextlib.contextmanager
def lan(arena: Arena) -> Iterator[Lan]:
    """A network with the arena's database, broker and web on it, and no machines yet."""
    spaced = namespaces_work()
    made = Lan(arena, spaced, "127.0.0.1")
    try:
        if spaced:
            made.bridge = f"at{os.getpid() % 100_000}"
            made.address = f"10.213.{os.getpid() % 250}.1"
            _ip("link", "add", made.bridge, "type", "bridge")
            _ip("address", "add", f"{made.address}/24", "dev", made.bridge)
            _ip("link", "set", made.bridge, "up")
        servers = arena.servers
        database = Gate(made.address, servers.database_dir / ".s.PGSQL.5432")
        broker = Gate(made.address, servers.broker_dir / valkey.SOCKET)
        web = Gate(made.address, ("127.0.0.1", arena.port))
        made.gates += [database, broker, web]
        login, at = servers.passwords, made.address
        made.environment = {
            **{
                name: text
                for name, text in arena.environment().items()
                if name.startswith(("ATELIER_", "PYTHON"))
            },
            "ATELIER_DATABASE_URL": f"postgresql://atelier:{login['atelier']}@{at}:{database.port}/atelier",
            "ATELIER_REDIS_URL": f"redis://:{login['valkey']}@{at}:{broker.port}/0",
            "ATELIER_STORAGE_URL": servers.home.objects.as_uri(),
            "ATELIER_SECRET_KEY": servers.home.secret_key_kept(),
            "ATELIER_INTERNAL_URL": f"http://{at}:{web.port}",
            "ATELIER_WORKERS": "2",
        }
        made.environment.pop("ATELIER_HOME", None)
        made.environment.pop("ATELIER_PORT", None)
        yield made
    finally:
        made.end()
