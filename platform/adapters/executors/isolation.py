"""How strongly a program is shut in, and the steps that do it: some in the nanny before it forks, the others in
the child before its first line.

0  a scrubbed environment, a session of its own, limits, none of root's powers
1  + Landlock: files, TCP ports, signals and abstract sockets
2  + an account of its own and a private view of the files (where the studio runs as root)
3  + processes, network and shared memory of its own: no address exists but the studio's API
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adapters.executors import landlock, namespaces, view
from adapters.executors.confine import set_dumpable
from adapters.executors.first import be_first
from adapters.executors.protocol import LOG_NAME, OUTPUTS_NAME, RESULT_NAME
from foundation.tasks import SandboxPlan

HIGHEST = 3
#: A range of accounts that nobody assigns; the nanny's process id makes the account unique while it lives.
FIRST_ACCOUNT = 0x70000000
#: Processes and threads of an account of its own; the nanny counts processes before that.
TASKS = 4096
WRITTEN = ("work", "home", "tmp", OUTPUTS_NAME)


class NotIsolated(OSError):
    """A step of the isolation failed: the program must not run."""


@dataclass(frozen=True)
class Isolation:
    """What every program of an executor gets. api: address of the studio, the only one that is reached from
    tier 3 on; readable: more folders that programs may read."""

    tier: int = 0
    api: str = ""
    readable: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For the plan file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Isolation:
        """From the plan file."""
        return cls(int(data["tier"]), str(data["api"]), tuple(data["readable"]))


class Cell:
    """The isolation of one program. Made in the nanny; `enter` is called in the child."""

    def __init__(self, isolation: Isolation, plan: SandboxPlan, folder: Path) -> None:
        self.isolation = isolation
        self.plan = plan
        self.folder = folder
        self.tier = isolation.tier
        self.as_root = os.geteuid() == 0
        self.account = FIRST_ACCOUNT + os.getpid() if self.as_root and self.tier >= 2 else None
        self.first = 0
        self._ids: int | None = None
        self._life = -1
        self._meeting: socket.socket | None = None

    @property
    def own_network(self) -> bool:
        """Whether the program has a network of its own."""
        return self.tier >= 3 and not self.plan.internet

    @property
    def api(self) -> tuple[str, int] | None:
        """Host and port of the studio, when the program talks to it."""
        if not self.plan.network or not self.isolation.api:
            return None
        parts = urlsplit(self.isolation.api)
        return parts.hostname or "127.0.0.1", parts.port or (443 if parts.scheme == "https" else 80)

    def furnish(self) -> None:
        """Make the folders of the program, before anything of it runs, and give them to its account."""
        for name in WRITTEN:
            (self.folder / name).mkdir(mode=0o700, exist_ok=True)
            if self.account is not None:
                _give(self.folder / name, self.account)
        if self.account is not None:
            # Passed through, not looked into: the log, the result and what was gathered for it stay ours.
            for folder in {self.folder, *self._above_inputs()}:
                folder.chmod(0o711)

    def _above_inputs(self) -> set[Path]:
        """Folders of the attempt that hold inputs, which its handler has laid there."""
        inputs = (Path(path) for path in self.plan.inputs.values())
        return {above for path in inputs for above in path.parents if self.folder in above.parents}

    def open(self) -> None:
        """In the nanny: its next child is the program's own. Raises NotIsolated."""
        if self.tier < 2:
            return
        try:
            if self.tier >= 3:
                self._leave()
            self._fork_first()
        except OSError as error:
            raise NotIsolated(*error.args) from error

    def _leave(self) -> None:
        user, group = os.geteuid(), os.getegid()  # inside the new namespace they are nobody's
        if self.as_root:
            namespaces.unshare(namespaces.NEW_PIDS, "make a process namespace")
            return
        namespaces.unshare(
            namespaces.NEW_USER | namespaces.NEW_PIDS, "make a user namespace and a process namespace"
        )
        set_dumpable(True)  # else the maps belong to root
        try:
            namespaces.map_own_account(user, group)
        finally:
            set_dumpable(False)

    def _fork_first(self) -> None:
        reading, self._life = os.pipe()
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            os.close(self._life)
            ours.close()
            try:
                if self.account is not None:
                    namespaces.unshare(namespaces.NEW_USER, "make a user namespace")
                    theirs.send(b"u")
                    theirs.recv(1)
            except OSError:
                os._exit(1)
            be_first(life=reading, meeting=theirs, target=self.api if self.own_network else None)
        self.first = pid
        os.close(reading)
        theirs.close()
        self._meeting = ours
        if self.account is not None:
            if ours.recv(1) != b"u":
                raise OSError("the first process could not make a user namespace")
            self._ids = namespaces.map_files_of(pid, owner=os.geteuid(), group=os.getegid(), to=self.account)
            ours.send(b"m")

    def close(self) -> None:
        """In the nanny, when the program is over: what its account left in places that are shared."""
        if self.account is not None and self.tier == 2:
            _sweep(view.SHARED_MEMORY, self.account)

    def others(self, tree: Sequence[int]) -> list[int]:
        """Those processes of a tree that are the program's."""
        return [pid for pid in tree if pid != self.first]

    def keep_descriptors(self) -> list[int]:
        """In the child, before it arranges its descriptors: those that enter() needs, out of the way."""
        if self._life >= 0:
            os.close(self._life)
        if self._meeting is not None:
            raised = fcntl.fcntl(self._meeting.fileno(), fcntl.F_DUPFD_CLOEXEC, 10)
            self._meeting.detach()
            self._meeting = socket.socket(fileno=raised)
        if self._ids is not None:
            self._ids = fcntl.fcntl(self._ids, fcntl.F_DUPFD_CLOEXEC, 10)
        kept = [] if self._meeting is None else [self._meeting.fileno()]
        return kept if self._ids is None else [*kept, self._ids]

    def enter(self) -> None:
        """In the child, with its descriptors in place: shut the door. Raises NotIsolated."""
        try:
            if self.tier >= 2:
                self._shut()
            if self.tier >= 1:
                self._restrict()
            if self.account is not None or (self.tier >= 3 and not self.as_root):
                resource.setrlimit(resource.RLIMIT_NPROC, _lowered(resource.RLIMIT_NPROC, TASKS))
            if self.account is not None:
                os.setgroups([])
                os.setresgid(self.account, self.account, self.account)
                os.setresuid(self.account, self.account, self.account)
        except OSError as error:
            raise NotIsolated(*error.args) from error

    def _shut(self) -> None:
        api = self.api
        flags = namespaces.NEW_MOUNTS
        if self.tier >= 3:
            flags |= namespaces.NEW_IPC | (namespaces.NEW_NETWORK if self.own_network else 0)
        namespaces.unshare(flags, "make namespaces of files, network and shared memory")
        hosts = ""
        if self.own_network:
            hosts = self._connect(api)
        if self._meeting is not None:
            self._meeting.close()
        shared = self.plan.memory_bytes or view.SHARED_MEMORY_BYTES
        view.build_view(
            self._visible(),
            folder=self.folder,
            ids=self._ids,
            account=self.account,
            hosts=hosts,
            shared_memory=min(shared, view.SHARED_MEMORY_BYTES),
            process_options="hidepid=2" if self.tier == 2 else "",
        )
        if self._ids is not None:
            os.close(self._ids)
        os.environ["TMPDIR"] = view.TEMPORARY

    def _connect(self, api: tuple[str, int] | None) -> str:
        """A network in which only the studio's own address answers. Returns its line in the file of hosts."""
        host, port = api or ("127.0.0.1", 0)
        literal = _literal(host)
        namespaces.start_loopback(literal)
        if api is None or self._meeting is None:
            return ""
        family = socket.AF_INET6 if ":" in literal else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _bind(listener, (literal or "127.0.0.1", port))
            listener.listen(128)
            socket.send_fds(self._meeting, [b"l"], [listener.fileno()])
        return "" if literal or host == "localhost" else f"127.0.0.1 {host}\n"

    def _visible(self) -> view.Visible:
        # One mount from tier 2 on, so that a file can be moved from one of its folders to another.
        write = [str(self.folder)] if self.tier >= 2 else self._written()
        # In it, what is not the program's is read-only where both have the same account.
        ours = [str(self.folder / name) for name in (LOG_NAME, RESULT_NAME)]
        return view.visible(
            own={
                *self.plan.inputs.values(),
                *self.isolation.readable,
                *(ours if self.tier >= 2 and self.account is None else ()),
            },
            write=write,
            interpreter=self.plan.interpreter,
            internet=self.plan.internet,
        )

    def _written(self) -> list[str]:
        return [str(self.folder / name) for name in WRITTEN]

    def _restrict(self) -> None:
        if self.tier >= 2:
            read: Sequence[str] = ("/",)
            write = [*self._written(), view.TEMPORARY, "/dev", view.SHARED_MEMORY]
        else:
            seen = self._visible()
            read = (*seen.system, *seen.own, *view.ACCOUNTS, *view.RESOLVING, "/proc")
            write = [*seen.write, *seen.devices, view.SHARED_MEMORY]
        found = landlock.restrict(read=read, write=write, ports=self._ports())
        if not found and self.tier == 1:
            raise OSError("the kernel has no Landlock")

    def _ports(self) -> tuple[int, ...] | None:
        """The TCP ports that Landlock lets through; None = all."""
        if self.own_network or self.plan.internet:
            return None
        return (self.api[1],) if self.api else ()


def _give(path: Path, account: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchown(descriptor, account, account)
    finally:
        os.close(descriptor)


def _sweep(folder: str, account: int) -> None:
    with suppress(OSError):
        for entry in os.scandir(folder):
            with suppress(OSError):
                if entry.stat(follow_symlinks=False).st_uid == account:
                    os.unlink(entry.path)


def _bind(listener: socket.socket, address: tuple[str, int]) -> None:
    """A new IPv6 address needs a moment until it can be used."""
    deadline = time.monotonic() + 5.0
    while True:
        try:
            listener.bind(address)
            return
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def _lowered(kind: int, wanted: int) -> tuple[int, int]:
    _, ceiling = resource.getrlimit(kind)
    found = wanted if ceiling == resource.RLIM_INFINITY else min(wanted, ceiling)
    return found, found


def _literal(host: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        return ""
