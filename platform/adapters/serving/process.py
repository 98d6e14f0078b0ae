"""Model processes on this machine: start, ask, stop, and sweep what an earlier generation left behind."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from adapters.serving import Health, Launch, ServerError
from adapters.serving.bundle import same_answer

logger = logging.getLogger(__name__)

PLATFORM = Path(__file__).resolve().parents[2]
POLL_SECONDS = 0.02
LOG_BYTES = 16 * 1024 * 1024


class UnixConnection(http.client.HTTPConnection):
    """A plain HTTP connection over a unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("model", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def ask(path: Path, method: str, url: str, body: bytes | None, *, timeout: float) -> tuple[int, bytes]:
    """One request to a model process. Raises ServerError when there is no answer in time."""
    connection = UnixConnection(path, timeout)
    try:
        connection.request(method, url, body=body, headers={"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ServerError(f"no answer from the model process ({type(error).__name__}: {error})") from error
    finally:
        connection.close()


def start_time(pid: int) -> float | None:
    """When the process began (seconds since the epoch), or None when there is none. With the pid it names a
    process beyond the reuse of pids."""
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None


def tree_of(pid: int) -> list[Any]:
    """The process and its descendants, wherever their session, as psutil processes (safe against reused pids)."""
    import psutil

    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def kill_all(pid: int, tree: list[Any]) -> None:
    """SIGKILL to every process of the tree and to what is left of the group that the pid led."""
    import psutil

    for process in tree:
        with contextlib.suppress(psutil.Error):
            process.kill()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


class BentoProcess:
    """One model process; see adapters.serving.ModelProcess."""

    def __init__(self, launch: Launch, child: subprocess.Popen[bytes]) -> None:
        self.launch = launch
        self.child = child
        self.pid = child.pid
        bundle = json.loads((launch.bento / "src" / "bundle.json").read_text())
        self.golden: dict[str, Any] = bundle["golden"]

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self.child.poll()

    def health(self, *, timeout: float) -> Health:
        """Ready when it answers its golden rows as it did when the Bento was built."""
        code = self.exit_code()
        if code is not None:
            return Health(False, f"the model process ended ({describe_exit(code)})")
        if not self.launch.socket.exists():
            return Health(False, "the model is still loading")
        try:
            answer = self.predict(self.golden["rows"], timeout=timeout)
        except ServerError as error:
            return Health(False, str(error))
        if self.golden["answer"] and not same_answer(self.golden["answer"], answer):
            return Health(False, "the model answers its golden rows differently than when it was built")
        return Health(True)

    def predict(self, rows: list[list[Any]], *, timeout: float) -> dict[str, Any]:
        """The model's answer to rows in signature order."""
        body = json.dumps({"rows": rows}).encode()
        status, data = ask(self.launch.socket, "POST", "/predict", body, timeout=timeout)
        try:
            answer = json.loads(data)
        except ValueError as error:
            raise ServerError("the model process answered with something that is not JSON") from error
        if status != 200:
            raise ServerError(str(answer.get("error", f"status {status}")))
        return dict(answer)

    def stop(self, *, grace: float) -> None:
        """SIGTERM, wait, SIGKILL, clean up."""
        tree = tree_of(self.pid)[1:]
        if self.child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(grace)
        if self.child.poll() is None:
            self.child.kill()
        kill_all(self.pid, tree)
        self.child.wait()
        _forget(self.launch)


class BentoServer:
    """Runs Bentos as `python -m adapters.serving.host`; see adapters.serving.ModelServer."""

    def start(self, launch: Launch) -> BentoProcess:
        """Start the process in its own session with nothing of our environment."""
        for folder in (launch.socket.parent, launch.folder, launch.record.parent, launch.log.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if len(os.fsencode(launch.socket)) > 107:
            raise ServerError(f"the socket path is too long for a unix socket: {launch.socket}")
        command = [sys.executable, "-m", "adapters.serving.host"]
        command += [
            "--bento",
            str(launch.bento),
            "--socket",
            str(launch.socket),
            "--parent",
            str(os.getpid()),
        ]
        if launch.memory_bytes:
            command += ["--memory", str(launch.memory_bytes)]
        _rotate(launch.log)
        try:
            with launch.log.open("ab") as log:
                child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=launch.folder,
                    env=model_environment(launch.folder),
                    start_new_session=True,
                )
        except OSError as error:
            raise ServerError(f"the model process cannot be started: {error}") from error
        record = {"pid": child.pid, "started": start_time(child.pid), "folder": str(launch.folder)}
        launch.record.write_text(json.dumps({**record, "socket": str(launch.socket)}))
        return BentoProcess(launch, child)

    def sweep(self, records: Path) -> list[int]:
        """Kill what earlier generations left."""
        killed = []
        for path in sorted(records.glob("*.json")):
            try:
                record = json.loads(path.read_text())
            except (OSError, ValueError):
                logger.warning("unreadable record of a model process: %s", path)
                path.unlink(missing_ok=True)
                continue
            pid, began = int(record["pid"]), record["started"]
            now = start_time(pid)
            if now is not None and began is not None and abs(now - began) < 0.05:
                kill_all(pid, tree_of(pid))
                _wait_gone(pid, began)
                killed.append(pid)
            Path(record["socket"]).unlink(missing_ok=True)
            shutil.rmtree(record["folder"], ignore_errors=True)
            path.unlink(missing_ok=True)
        return killed


def _rotate(log: Path) -> None:
    """Begin a new log file when the last one is large; one earlier file is kept."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_BYTES:
            log.rename(log.with_name(log.name + ".1"))


def model_environment(folder: Path) -> dict[str, str]:
    """The whole environment of a model process: no secret, no address of any service, no telemetry."""
    from adapters.serving.bento import quiet_environment

    return {
        "PATH": os.defpath,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONPATH": f"{PLATFORM}{os.pathsep}{PLATFORM.parent}",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MPLCONFIGDIR": str(folder),
        **quiet_environment(folder / "bentoml"),
    }


def describe_exit(code: int) -> str:
    """The end of a process in words: "exit code 3", "killed by SIGKILL"."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def _forget(launch: Launch) -> None:
    launch.socket.unlink(missing_ok=True)
    launch.record.unlink(missing_ok=True)
    shutil.rmtree(launch.folder, ignore_errors=True)


def _wait_gone(pid: int, began: float, *, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        now = start_time(pid)
        if now is None or abs(now - began) > 0.05:
            return
        time.sleep(POLL_SECONDS)
