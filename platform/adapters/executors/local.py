"""The real executor: child processes of this machine, isolated (isolation.py), warm where possible.

Worker ──control──> forker (warm parent) ──fork──> nanny ──fork──> child (session, limits, no secrets)
Each program has its own socket pair between worker and nanny. No path, no port: nobody else can connect.
"""

from __future__ import annotations

import json
import logging
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adapters.executors.confine import refused_environment
from adapters.executors.forker import DEFAULT_MODULES
from adapters.executors.isolation import Isolation
from adapters.executors.nanny import PLAN_NAME
from adapters.executors.protocol import (
    LOG_NAME,
    RESULT_NAME,
    Cause,
    Exit,
    Report,
    Stats,
    clean_progress,
    read_report,
)
from adapters.executors.wire import Channel
from foundation.errors import Invalid
from foundation.tasks import SandboxPlan

logger = logging.getLogger(__name__)

SOURCE_ROOT = Path(__file__).resolve().parents[3]
RESTART_SECONDS = 5.0
_BOOT = "import sys; sys.path[:0] = [{root!r}, {platform!r}]; from adapters.executors.{module} import main; main()"

# One thread while the warm parent imports: a process with threads cannot be forked safely.
_SINGLE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    # Threads that wait for work spin for 2^n ticks: by default 25 ms on all processors, at the start of every job.
    "OPENBLAS_THREAD_TIMEOUT": "18",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "_RJEM_MALLOC_CONF": "background_thread:false",
}
# No connection leaves the machine unless somebody asks for it.
_SILENCE = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "BENTOML_DO_NOT_TRACK": "true",
    "KEDRO_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "true",
    "DO_NOT_TRACK": "1",
    "GIT_PYTHON_REFRESH": "quiet",
}
# Of the operator's own environment only these pass: where libraries and certificates lie, and the zone.
_PASSED = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "TZ")


def base_environment(folder: Path) -> dict[str, str]:
    """The whole environment of a child before the plan's own variables: nothing of the worker's secrets."""
    binaries = [str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]
    return {
        "PATH": os.pathsep.join(binaries),
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "Agg",
        **_SILENCE,
        **{name: os.environ[name] for name in _PASSED if name in os.environ},
    }


def _spawn(module: str, connection: socket.socket, arguments: Sequence[str], env: Mapping[str, str]) -> Any:
    code = _BOOT.format(root=str(SOURCE_ROOT), platform=str(SOURCE_ROOT / "platform"), module=module)
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code, str(connection.fileno()), *arguments],
        pass_fds=[connection.fileno()],
        env=dict(env),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )


class LocalHandle:
    """One program as its worker sees it: the other end of the nanny's connection."""

    def __init__(self, folder: Path, connection: socket.socket, process: Any = None) -> None:
        self.folder = folder
        self.warm = process is None
        self.pid: int | None = None
        self._channel = Channel(connection)
        self._process = process
        self._started = False
        self._progress: dict[str, Any] = {}
        self._stats = Stats()
        self._exit: Exit | None = None
        self._began = time.monotonic()

    @property
    def launched(self) -> bool:
        """Whether the nanny has answered."""
        return self.pid is not None

    @property
    def started(self) -> bool:
        """Whether the first line of the program's main() has been reached."""
        return self._started

    @property
    def progress(self) -> dict[str, Any]:
        """The last reported progress."""
        return self._progress

    @property
    def log_path(self) -> Path:
        """The growing log."""
        return self.folder / LOG_NAME

    def poll(self, timeout: float = 0.0) -> Exit | None:
        """Wait for news, at most `timeout` seconds; the end, when there is one."""
        if self._exit is None and select.select([self._channel], [], [], timeout)[0]:
            for message in self._channel.receive():
                self._take(message)
            if self._channel.closed and self._exit is None:
                self._exit = Exit(Cause.VANISHED, wall_seconds=time.monotonic() - self._began)
        return self._exit

    def wait(self, timeout: float | None = None) -> Exit | None:
        """Wait for the end. None when the time is over."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._exit is None:
            left = 60.0 if deadline is None else deadline - time.monotonic()
            if left <= 0:
                break
            self.poll(left)
        return self._exit

    def _take(self, message: dict[str, Any]) -> None:
        if "hello" in message:
            self.pid = int(message["hello"])
        elif "started" in message:
            self._started = True
        elif "progress" in message:
            self._progress = clean_progress(message["progress"])
        elif "stats" in message:
            seconds, memory, processes = message["stats"]
            self._stats = Stats(seconds, memory, processes)
        elif "exit" in message:
            end = message["exit"]
            self._exit = Exit(**{**end, "cause": Cause(end["cause"])})

    def terminate(self, grace: float = 10.0) -> None:
        """Ask the whole tree to end; kill what is left after `grace` seconds."""
        self._channel.send({"op": "terminate", "grace": grace}, patience=5)

    def kill(self) -> None:
        """End the whole tree now."""
        self._channel.send({"op": "kill"}, patience=5)

    def stats(self) -> Stats:
        """The latest sample, about a second old at most."""
        return self._stats

    def report(self) -> Report | None:
        """What the program left in its result file."""
        return read_report(self.folder)

    def close(self) -> None:
        """Let go: closing the connection makes the nanny kill whatever still runs."""
        self._channel.close()
        if self._process is not None:
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


class LocalExecutor:
    """Starts programs as confined child processes; thread-safe."""

    name = "local"

    def __init__(
        self,
        *,
        modules: Sequence[str] = DEFAULT_MODULES,
        threads: int | None = None,
        warm: bool = sys.platform.startswith("linux"),
        scratch: Path | None = None,
        isolation: Isolation | None = None,
    ) -> None:
        """modules: what the warm parent imports; threads: of number libraries per child (default: all
        processors); scratch: home of the warm parent itself; isolation: how programs are shut in (default: tier
        0)."""
        self.modules = list(modules)
        self.threads = threads or os.cpu_count() or 1
        self.use_warm = warm
        self.scratch = scratch
        self.isolation = isolation or Isolation()
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._parent: Any = None
        self._parent_since = 0.0
        self._ready: dict[str, Any] | None = None
        self._buffer = b""

    @property
    def tier(self) -> int:
        """The isolation tier of its programs."""
        return self.isolation.tier

    def warm_up(self) -> None:
        """Start the warm parent now, so that the first job does not wait for its imports."""
        with self._lock:
            self._ensure_parent()

    def ready(self, timeout: float = 0.0) -> dict[str, Any] | None:
        """What the warm parent imported ({"modules", "missing", "threads", "seconds"}), once it has."""
        deadline = time.monotonic() + timeout
        while True:
            with self._lock:
                if self._ready is not None or self._control is None:
                    return self._ready
                self._read_ready(min(0.2, max(0.0, deadline - time.monotonic())))
                if self._ready is not None:
                    return self._ready
            if time.monotonic() >= deadline:
                return None

    def _read_ready(self, timeout: float) -> None:
        control = self._control
        if control is None or not select.select([control], [], [], timeout)[0]:
            return
        data = control.recv(65536)
        self._buffer += data
        if b"\n" in self._buffer:
            self._ready = json.loads(self._buffer.split(b"\n")[0])["ready"]
        elif not data:
            self._drop_parent()

    def _ensure_parent(self) -> bool:
        """Whether a warm parent lives; starts one unless the last start was moments ago."""
        if not self.use_warm:
            return False
        if self._parent is not None and self._parent.poll() is None and self._control is not None:
            return True
        if self._parent is not None:
            logger.warning("the warm parent has ended (%s); a new one is started", self._parent.returncode)
        self._drop_parent()
        if time.monotonic() - self._parent_since < RESTART_SECONDS and self._parent_since:
            return False
        self._parent_since = time.monotonic()
        ours, theirs = socket.socketpair()
        scratch = self.scratch or Path("/nonexistent")
        try:
            self._parent = _spawn(
                "forker",
                theirs,
                self.modules,
                {**base_environment(scratch), **_SINGLE_THREAD, "TMPDIR": tempfile.gettempdir()},
            )
        except OSError:
            logger.exception("the warm parent cannot be started; programs start cold")
            ours.close()
            return False
        finally:
            theirs.close()
        self._control = ours
        return True

    def _drop_parent(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._parent is not None:
            try:
                self._parent.wait(5)
            except subprocess.TimeoutExpired:
                self._parent.kill()
                self._parent.wait()
        self._control, self._parent, self._ready, self._buffer = None, None, None, b""

    def start(self, plan: SandboxPlan, folder: Path) -> LocalHandle:
        """Start a program in `folder`, warm when the plan allows it and the warm parent lives.

        Raises Invalid "job.environment" for variables that would change the loader or the interpreter,
        OSError when the folder cannot be written or no process can be made.
        """
        refused = refused_environment(plan.env)
        if refused:
            raise Invalid(
                "job.environment",
                f"The variable {refused[0]} may not be set for a job: it would change how programs are loaded.",
                {"variables": refused},
            )
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / RESULT_NAME).unlink(missing_ok=True)
        self._write_plan(plan, folder)
        ours, theirs = socket.socketpair()
        try:
            process = None
            if not (plan.warm and self._start_warm(theirs)):
                process = _spawn("nanny", theirs, [], base_environment(folder))
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.sendall(json.dumps({"folder": str(folder)}).encode() + b"\n")
        return LocalHandle(folder, ours, process)

    def _start_warm(self, theirs: socket.socket) -> bool:
        with self._lock:
            for _ in range(2):
                if not self._ensure_parent() or self._control is None:
                    return False
                try:
                    socket.send_fds(self._control, [b"J"], [theirs.fileno()])
                    return True
                except OSError:
                    self._drop_parent()
            return False

    def _write_plan(self, plan: SandboxPlan, folder: Path) -> None:
        document = {
            "plan": asdict(plan),
            "environment": {**base_environment(folder), **plan.env},
            "threads": self.threads,
            "isolation": self.isolation.as_dict(),
        }
        path = folder / PLAN_NAME
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(document, file)

    def renew(self) -> None:
        """End a warm parent that does not answer; the next start makes another."""
        with self._lock:
            if self._parent is not None:
                self._parent.kill()
            self._drop_parent()

    def close(self) -> None:
        """End the warm parent. Its nannies go on until their handles are closed."""
        with self._lock:
            self._drop_parent()


def clear_folder(folder: Path) -> None:
    """Remove an attempt's folder, links not followed, also where the program took its own rights away; what
    cannot be removed is left for the next sweep."""
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.is_dir():
        return
    with suppress(OSError):
        os.chmod(folder, 0o700)
    for place, folders, _ in os.walk(folder):
        for path in (os.path.join(place, name) for name in folders):
            if not os.path.islink(path):
                with suppress(OSError):
                    os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)
