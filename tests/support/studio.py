"""A whole studio started by `manage.py up` with a home of its own, and stopped exactly."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.outside import Watch

ROOT = Path(__file__).resolve().parents[2]
START_LIMIT = 400.0  # seconds; a first start migrates two schemas, on a busy machine slowly
STOP_LIMIT = 60.0


def free_port() -> int:
    """A TCP port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """The environment without any studio's settings, pointing at `home`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ATELIER_", "DJANGO_", "PYTEST_", "COV_"))
    }
    return {**kept, "ATELIER_HOME": str(home), **more}


@dataclass
class Studio:
    """A studio behind one `manage.py up`."""

    home: Path
    port: int = field(default_factory=free_port)
    root: Path = ROOT
    python: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()  # for example setpriv, to start it as somebody else
    output: list[str] = field(default_factory=list)
    earlier: list[str] = field(default_factory=list)  # the output of starts before this one
    process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_password(self) -> str:
        return (self.home / "admin-password").read_text(encoding="utf-8").strip()

    def env(self) -> dict[str, str]:
        """The environment of commands that join this studio."""
        return clean_environment(self.home, **self.environment)

    def argv(self, *arguments: str) -> list[str]:
        """The command line of manage.py with `arguments`."""
        return [*self.prefix, self.python, str(self.root / "manage.py"), *arguments]

    def launch(self) -> None:
        """Start `up` without waiting."""
        self.earlier += self.output
        self.output.clear()
        self.process = subprocess.Popen(
            self.argv("up", "--port", str(self.port), *self.arguments),
            env=self.env(),
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.output.append(line.rstrip("\n"))

    def start(self, limit: float = START_LIMIT) -> Studio:
        """Start `up` and wait for its last line."""
        self.launch()
        self.wait_until_ready(limit)
        return self

    def wait_until_ready(self, limit: float = START_LIMIT) -> None:
        """Return when the ready line is printed; fail with the output and the logs otherwise."""
        assert self.process is not None
        wanted = f"Atelier is ready at {self.url}"
        deadline = time.monotonic() + limit
        while wanted not in self.output:
            ended = self.process.poll()
            if ended is not None or time.monotonic() > deadline:
                self.stop()
                pytest.fail(f"the studio did not start (exit {ended}):\n{self.report()}")
            time.sleep(0.05)

    def stop(self) -> int:
        """SIGTERM, as a service manager does; returns the exit status. A home is left for a second start."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            pytest.fail(f"the studio did not stop within {STOP_LIMIT:.0f} s:\n{self.report()}")
        return 1

    def discard(self) -> None:
        """Stop, and remove the home together with root's data below /var/lib/atelier."""
        try:
            self.stop()
        finally:
            location = self.home / "data-location"
            if location.exists():
                shutil.rmtree(location.read_text(encoding="utf-8").strip(), ignore_errors=True)
            shutil.rmtree(self.home, ignore_errors=True)

    def report(self) -> str:
        """Output and the ends of the logs, for a failure's message."""
        parts = ["\n".join(self.output[-60:])]
        for log in sorted((self.home / "logs").glob("*.log")):
            tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:]
            parts.append("\n".join([f"--- {log.name}", *tail]))
        return "\n".join(parts)

    def manage(self, *arguments: str, timeout: float = 120.0) -> str:
        """Run another manage.py command on this studio; returns its standard output."""
        done = subprocess.run(
            self.argv(*arguments),
            env=self.env(),
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def token(self, username: str = "admin", *, project: str | None = None, scope: str = "write") -> str:
        """A new API token of `username`."""
        bound = ["--project", project] if project else []
        return self.manage("token", username, "--scope", scope, *bound).strip()

    def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, timeout: float = 30.0
    ) -> tuple[int, Any]:
        """One request with a JSON body; returns (status, parsed JSON or text)."""
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                status, raw = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, raw = error.code, error.read()
        text = raw.decode("utf-8", errors="replace")
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text


def temporary_home(label: str) -> Path:
    """A fresh folder in /tmp for a studio of the suite."""
    return Path(tempfile.mkdtemp(prefix=f"atelier-{label}-"))


@pytest.fixture(scope="session")
def studio() -> Iterator[Studio]:
    """One running studio for all engine and browser tests of the session; none of its processes looks outside."""
    running = Studio(temporary_home("studio"), environment={"ATELIER_CHECKPOINT_SECONDS": "0.5"})
    watch = Watch(lambda: processes_of(running)).start()
    try:
        yield running.start()
    finally:
        running.discard()
        seen = watch.stop()
    assert not seen, f"connections left this machine: {sorted(seen)}"


def processes_of(running: Studio) -> list[int]:
    """The keeper and everything below it."""
    if running.process is None:
        return []
    try:
        keeper = psutil.Process(running.process.pid)
        return [keeper.pid, *(child.pid for child in keeper.children(recursive=True))]
    except psutil.NoSuchProcess:
        return []
