"""Hostile programs: each tries what it should not reach and says how far it came. Standard library only."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from foundation.tasks import Context

PTRACE_ATTACH = 16


def reach(ctx: Context) -> dict[str, Any]:
    """Try everything; {"what": "reached" or the name of the error}."""
    aim: dict[str, Any] = ctx.payload
    victim = int(aim["victim"])
    attempts: dict[str, Callable[[], object]] = {
        "environment": lambda: Path(f"/proc/{victim}/environ").read_bytes(),
        "memory": lambda: _read_memory(victim),
        "descriptors": lambda: os.readlink(f"/proc/{victim}/fd/0"),
        "ptrace": lambda: _ptrace(victim),
        "kill": lambda: os.kill(victim, 0),
        "processes": lambda: _others(victim),
        "files": lambda: Path(aim["file"]).read_bytes(),
        "folders": lambda: os.listdir(aim["folder"]),
        "write": lambda: Path(aim["folder"], "planted").write_bytes(b"x"),
        "log": lambda: (ctx.folder.parent / "log.txt").open("ab").close(),
        "result": lambda: (ctx.folder.parent / "result.json").open("ab").close(),
        "accounts": lambda: Path("/etc/shadow").read_bytes(),
        "shared memory": lambda: Path(aim["shared"]).read_bytes(),
        "socket": lambda: _connect(socket.AF_UNIX, aim["socket"]),
        "abstract socket": lambda: _connect(socket.AF_UNIX, aim["abstract"]),
        "port": lambda: _connect(socket.AF_INET, ("127.0.0.1", aim["port"])),
        "listen": _listen,
        "datagram": lambda: _datagram(aim["datagram"]),
        "metadata": lambda: _connect(socket.AF_INET, ("169.254.169.254", 80)),
        "mount": _mount,
        "root": lambda: os.setuid(0) if os.getuid() else _raise(errno.EPERM, os.geteuid() == 0 and _powers()),
        "api": lambda: _ask(aim["api"]),
    }
    if aim["tier"] < 1:
        del attempts["metadata"]  # without a wall it would really ask
    return {name: _outcome(attempt) for name, attempt in attempts.items()}


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    return "reached"


def _raise(number: int, fine: object) -> None:
    """Root without its powers counts as nobody special."""
    if not fine:
        raise OSError(number, os.strerror(number))


def _powers() -> bool:
    status = Path("/proc/self/status").read_text()
    return int(status.split("CapEff:")[1].split()[0], 16) != 0


def _read_memory(pid: int) -> None:
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps:
        place = int(maps.readline().split("-")[0], 16)
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(place)
        memory.read(16)


def _ptrace(pid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(PTRACE_ATTACH, pid, None, None) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    libc.ptrace(17, pid, None, None)


def _others(victim: int) -> None:
    """A process of ours may have the same number in a namespace of our own: look at what it is."""
    line = Path(f"/proc/{victim}/cmdline").read_bytes()
    if b"victim" not in line:
        raise OSError(errno.ESRCH, "another process")


def _connect(family: int, address: Any) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(1)
        sock.connect(address)


def _listen() -> None:
    with socket.socket() as sock:
        sock.bind(("0.0.0.0", 0))
        sock.listen()


def _datagram(port: int) -> None:
    """Reached when somebody answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        sock.connect(("127.0.0.1", port))
        sock.send(b"hello")
        sock.recv(16)


def _ask(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(b"ping " * 100_000 + b"\n")
        said = b""
        while not said.endswith(b"\n"):
            data = sock.recv(65536)
            if not data:
                raise ConnectionResetError(errno.ECONNRESET, "no whole answer")
            said += data
    if said != b"PING " * 100_000 + b"\n":
        raise OSError(errno.EIO, "the answer is another one")


def _mount() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", b"/mnt", b"tmpfs", ctypes.c_ulong(0), None) < 0:
        raise OSError(ctypes.get_errno(), "mount")


def works(ctx: Context) -> dict[str, Any]:
    """What an honest program needs, at any tier."""
    import multiprocessing
    import pwd
    import tempfile

    with tempfile.TemporaryFile() as file:
        file.write(b"x")
    (ctx.folder / "moved").write_text("moved")
    os.rename(ctx.folder / "moved", ctx.outputs / "moved")
    with multiprocessing.get_context("fork").Pool(2) as pool:
        squares = pool.map(abs, [-1, -2, 3])
    shell = subprocess.run(
        ["/bin/sh", "-c", "echo $HOME; cat /etc/hosts | head -1"], capture_output=True, text=True
    )
    python = subprocess.run([sys.executable, "-c", "import json; print(6*7)"], capture_output=True, text=True)
    return {
        "squares": squares,
        "shell": shell.stdout,
        "python": python.stdout.strip() or python.stderr[-300:],
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "processors": os.cpu_count(),
        "inputs": {name: path.read_text() for name, path in ctx.inputs.items()},
        "home": os.environ["HOME"],
        "random": len(os.urandom(8)),
        "time": time.localtime().tm_year,
    }


def daemonizes(ctx: Context) -> dict[str, Any]:
    """Leaves a double-forked daemon with a name, deaf to every polite signal, and then goes on or ends."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in range(1, 32):
                with suppress(OSError, ValueError):
                    signal.signal(number, signal.SIG_IGN)
            os.execv(  # noqa: S606
                sys.executable,
                [sys.executable, "-c", "import time; time.sleep(600)", str(ctx.payload["name"])],
            )
        os._exit(0)
    os.wait()
    ctx.progress(1, 1, "left")
    time.sleep(float(ctx.payload["seconds"]))
    return {}


def leaves_traps(ctx: Context) -> dict[str, Any]:
    """Outputs that are no files of its own."""
    (ctx.outputs / "link").symlink_to(ctx.payload["secret"])
    (ctx.outputs / "folder").symlink_to("/etc")
    os.mkfifo(ctx.outputs / "pipe")
    with suppress(OSError):
        os.mknod(ctx.outputs / "device", 0o600 | 0o020000, os.makedev(1, 5))
    with suppress(OSError):
        os.link(ctx.payload["secret"], ctx.outputs / "hard")
    (ctx.outputs / "honest").write_text("x")
    return {"left": sorted(path.name for path in ctx.outputs.iterdir())}


def bombs(ctx: Context) -> dict[str, Any]:
    """All processes double, again and again; with a breath in between, for the sake of the other tests."""
    while True:
        with suppress(OSError):
            os.fork()
        time.sleep(0.05)


def fills_shared_memory(ctx: Context) -> dict[str, Any]:
    try:
        with open("/dev/shm/hoard", "wb") as file:
            for _ in range(ctx.payload["megabytes"]):
                file.write(b"x" * (1 << 20))
    except OSError as error:
        return {"stopped": errno.errorcode[error.errno or 0]}
    return {"stopped": ""}


def knocks(ctx: Context) -> dict[str, Any]:
    """Connects to the API's address, and to another port of it."""
    host, port = ctx.payload["host"], ctx.payload["port"]
    socket.create_connection((host, port), timeout=5).close()
    try:
        socket.create_connection((host, port + 1), timeout=5).close()
    except OSError as error:
        return {"connected": True, "other": errno.errorcode[error.errno or 0]}
    return {"connected": True, "other": "reached"}
