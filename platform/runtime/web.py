"""The web process: uvicorn with Atelier's ASGI application.

Behind `up` it takes over the listening socket that the keeper holds, so that a restart of this process
refuses nobody: connections wait for the next one.
"""

from __future__ import annotations

import errno
import os
import socket

from runtime.config import Config
from runtime.errors import RuntimeFault

LISTENER = "ATELIER_WEB_LISTENER"  # number of the inherited descriptor


def main(config: Config) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises RuntimeFault when the port is taken.
    """
    import uvicorn

    inherited = os.environ.pop(LISTENER, "")
    listener = socket.socket(fileno=int(inherited)) if inherited else bind(config.host, config.port)
    listener.setblocking(False)
    server = uvicorn.Server(
        uvicorn.Config(
            "atelier.asgi:application",
            host=config.host,
            port=config.port,
            access_log=False,
            log_level="warning",
            server_header=False,
            # Who a request came from is believed only of the TLS proxy that the public address speaks of:
            # otherwise every program of this machine could count its attempts to sign in as another's.
            proxy_headers=config.public_url.startswith("https://"),
            timeout_keep_alive=75,
            timeout_graceful_shutdown=8,
            limit_concurrency=None,
            backlog=2048,
            ws="none",
        )
    )
    server.run(sockets=[listener])


def bind(host: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises RuntimeFault, one sentence, when that cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise RuntimeFault(
            f"{host} is not an address of this machine ({error.strerror or error})."
        ) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise RuntimeFault(f"{host} is not an address of this machine: choose another --host.") from error
        if error.errno == errno.EACCES:
            raise RuntimeFault(
                f"Port {port} is for root only on this machine: choose one above 1023 with --port."
            ) from error
        raise RuntimeFault(
            f"Port {port} on {host} cannot be used ({error.strerror}): "
            "stop what listens there, or choose another port with --port."
        ) from error
    return listener
