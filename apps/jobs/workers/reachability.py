"""Whether jobs of this machine reach the web process: they log their runs there."""

from __future__ import annotations

import http.client
import logging
import ssl
import threading
import time
from urllib.parse import urlsplit

logger = logging.getLogger(__name__)
TIMEOUT = 5.0
# While it does not answer, and while it does.
AGAIN, CALM = 15.0, 300.0


class Probe:
    """Asks GET /healthz now and then, in a thread of its own. `finding`: "" while nothing was tried, "ready", or a
    sentence that says what is wrong."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.finding = ""
        self._due = 0.0
        self._thread: threading.Thread | None = None

    def look_again(self) -> None:
        """Ask again when it is time. Returns at once."""
        if not self.url or time.monotonic() < self._due or (self._thread and self._thread.is_alive()):
            return
        self._thread = threading.Thread(target=self.look, name="probe", daemon=True)
        self._thread.start()

    def look(self) -> str:
        """Ask once."""
        before, self.finding = self.finding, reach(self.url)
        self._due = time.monotonic() + (CALM if self.finding == "ready" else AGAIN)
        if self.finding not in ("ready", before):
            logger.warning("jobs of this machine cannot log their runs: %s", self.finding)
        return self.finding


def reach(url: str) -> str:
    """ "ready" when web answers at `url`, else why not, in a sentence."""
    parts = urlsplit(url)
    host, where = parts.hostname or "", f"{parts.scheme}://{parts.netloc}"
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(host, parts.port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except ssl.SSLError as error:
        return f"{where} is not trusted: {error.reason or error}."
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return f"{where} does not answer ({reason}): set ATELIER_INTERNAL_URL to web's address as seen from here."
    finally:
        connection.close()
    if status == 200:
        return "ready"
    if status == 400:
        return f"{where} refuses the host name {host}: add it to ATELIER_ALLOWED_HOSTS where web runs."
    return f"{where} answers {status} where web should answer 200: is ATELIER_INTERNAL_URL right?"
