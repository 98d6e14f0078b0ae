"""The nanny: one small process per program. It forks the confined child, writes the log, enforces limits,
and ends the whole tree when told to, or when its worker is gone.

It runs warm (forked from the forker, with the libraries already imported) or cold (a fresh interpreter).
As a subreaper it inherits whatever the child leaves behind, so that nothing outlives a job. Losing the
connection to the worker means that the worker is dead: the tree is killed at once.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import signal
import socket
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

from adapters.executors import proctree
from adapters.executors.bars import BarReader
from adapters.executors.child import become_child
from adapters.executors.confine import Limits, become_subreaper
from adapters.executors.isolation import Cell, Isolation, NotIsolated
from adapters.executors.joblog import LogWriter
from adapters.executors.program import NOT_ISOLATED, not_isolated, write_report
from adapters.executors.protocol import LOG_NAME, RESULT_NAME, Cause
from adapters.executors.wire import Channel
from foundation.tasks import SandboxPlan

TICK_SECONDS = 0.2
DISK_SECONDS = 2.0
NEWS_SECONDS = 1.0
PLAN_NAME = "plan.json"
PROGRESS_SECONDS = 0.1
MAX_PROGRESS_LINE = 64 * 1024


def read_plan(folder: Path) -> tuple[SandboxPlan, dict[str, str], int, Isolation]:
    """Read and remove the plan file (it may hold a token). Returns plan, environment, threads, isolation."""
    path = folder / PLAN_NAME
    data = json.loads(path.read_bytes())
    path.unlink()
    known = {field.name for field in fields(SandboxPlan)}
    plan = SandboxPlan(**{key: value for key, value in data["plan"].items() if key in known})
    return plan, data["environment"], int(data["threads"]), Isolation.from_dict(data["isolation"])


class Nanny:
    """Watches one child. All times are monotonic seconds."""

    def __init__(self, connection: socket.socket, folder: Path, *, warm: bool) -> None:
        self.channel = Channel(connection)
        self.folder = folder
        self.warm = warm
        self.plan, self.environment, self.threads, isolation = read_plan(folder)
        self.cell = Cell(isolation, self.plan, folder)
        plan = self.plan
        self.limits = Limits(
            plan.memory_bytes, plan.cpu_seconds, plan.wall_seconds, plan.disk_bytes, plan.stdout_bytes,
            plan.processes or Limits.processes,
        )  # fmt: skip
        self.log = LogWriter(folder / LOG_NAME, plan.stdout_bytes)
        self.cause = Cause.EXITED
        self.used: float | None = None
        self.limit: float | None = None
        self.kill_at: float | None = None
        self.status: int | None = None
        self.peak = 0
        self.memory = 0
        self.pid = 0
        self._progress = b""
        self._started = False
        self.bars = BarReader()
        self._told = False  # the code says itself how far it is
        self._held: Any = None
        self._held_until = 0.0
        self._disk_next = self._news_next = 0.0

    def start(self) -> None:
        """Make the folders and fork the confined child."""
        self.cell.furnish()
        result = open_result(self.folder)
        self.baseline = proctree.private_memory(os.getpid()) if self.warm else 0
        self._own_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if self.warm else 0
        self.output, child_output = os.pipe()
        self.progress, child_progress = os.pipe()
        self.began = time.monotonic()
        me = os.getpid()
        try:
            self.cell.open()
        except NotIsolated as error:
            write_report(self.folder, not_isolated(error), descriptor=result)
            self.status = NOT_ISOLATED << 8
            self.channel.send({"hello": me, "warm": self.warm}, patience=5)
            return
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.output)
            os.close(self.progress)
            self.channel.sock.close()
            become_child(
                self.plan,
                self.folder,
                environment=self.environment,
                limits=self.limits,
                threads=self.threads,
                output=child_output,
                progress=child_progress,
                result=result,
                parent=me,
                cell=self.cell,
            )
        os.close(child_output)
        os.close(child_progress)
        os.close(result)
        os.set_blocking(self.output, False)
        os.set_blocking(self.progress, False)
        self.channel.send({"hello": self.pid, "warm": self.warm}, patience=5)

    def watch(self) -> None:
        """Until the child has ended and nothing of its tree is left."""
        with selectors.DefaultSelector() as selector:
            for source in (self.output, self.progress, self.channel):
                selector.register(source, selectors.EVENT_READ)
            death = self._death_notice(selector)
            while self.status is None:
                for key, _ in selector.select(TICK_SECONDS if death is not None else 0.05):
                    self._news_from(key.fileobj, selector)
                ended = proctree.reap()
                self.status = ended.get(self.pid)
                self._tick(time.monotonic())
            if death is not None:
                selector.unregister(death)
                os.close(death)
        self._drain()

    def _death_notice(self, selector: selectors.BaseSelector) -> int | None:
        """A descriptor that becomes readable when the child ends; None where there is no such thing."""
        if not hasattr(os, "pidfd_open"):
            return None
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:
            return None
        selector.register(descriptor, selectors.EVENT_READ)
        return descriptor

    def _news_from(self, source: Any, selector: selectors.BaseSelector) -> None:
        if source is self.channel:
            for message in self.channel.receive():
                self._obey(message)
            if self.channel.closed:
                self._end(Cause.STOPPED, grace=0)
                selector.unregister(self.channel)
        elif source == self.output:
            if not self._read_output():
                selector.unregister(source)
        elif source == self.progress and not self._read_progress():
            selector.unregister(source)

    def _read_output(self) -> bool:
        try:
            data = os.read(self.output, 1 << 16)
        except BlockingIOError:
            return True
        self.log.write(data)
        if not self._told and data:
            now = time.monotonic()
            self._held = self.bars.read(data, now) or self._held
            self._pass_progress(now)
        return bool(data)

    def _read_progress(self) -> bool:
        try:
            data = os.read(self.progress, 1 << 16)
        except BlockingIOError:
            return True
        *lines, self._progress = (self._progress + data).split(b"\n")
        if len(self._progress) > MAX_PROGRESS_LINE:
            self._progress = b""
        if not self._started and any(_message(line).get("started") is True for line in lines):
            self._started = self.channel.send({"started": True}, patience=5)
        for line in reversed(lines):
            if b'"progress"' in line:  # the latest wins, and only it is looked at
                news = _message(line).get("progress")
                self._told = self._told or (isinstance(news, dict) and news.get("total") is not None)
                if self._told or not self.bars.found:  # a bar says more than words without a number
                    self._held = news or self._held
                break
        self._pass_progress(time.monotonic())
        return bool(data)

    def _pass_progress(self, now: float) -> None:
        """Send the latest report, a few times a second at most: a flood must not keep the worker busy."""
        if self._held is not None and now >= self._held_until and self.channel.send({"progress": self._held}):
            self._held, self._held_until = None, now + PROGRESS_SECONDS

    def _obey(self, message: dict[str, Any]) -> None:
        if message.get("op") == "terminate":
            self._end(Cause.STOPPED, grace=float(message.get("grace", 10.0)))
        elif message.get("op") == "kill":
            self._end(Cause.STOPPED, grace=0)

    def _end(
        self, cause: Cause, *, grace: float, used: float | None = None, limit: float | None = None
    ) -> None:
        """Begin the end: SIGTERM now and SIGKILL after `grace`, or at once. The first cause stays."""
        if self.cause == Cause.EXITED:
            self.cause, self.used, self.limit = cause, used, limit
        if grace > 0 and self.kill_at is None:
            proctree.signal_tree(os.getpid(), signal.SIGTERM)
        at = time.monotonic() + grace
        self.kill_at = at if self.kill_at is None else min(self.kill_at, at)

    def _tick(self, now: float) -> None:
        if self.status is not None:
            return
        self._pass_progress(now)
        self.log.settle()
        if self._killed_when_due():
            return
        everybody = proctree.descendants(os.getpid())
        tree = self.cell.others(everybody)
        self._check(tree, now)
        if self._killed_when_due():
            return
        if now >= self._news_next:
            self._news_next = now + NEWS_SECONDS
            seconds = sum(map(proctree.processor_time, everybody))
            self.channel.send({"stats": [round(seconds, 2), self.memory, len(tree)]})
            allowed = self.limits.cpu_seconds
            if allowed is not None and seconds > allowed + NEWS_SECONDS:  # several processes share the limit
                self._end(Cause.CPU, grace=10.0, used=seconds, limit=allowed)

    def _killed_when_due(self) -> bool:
        if self.kill_at is None or time.monotonic() < self.kill_at:
            return False
        self.status = proctree.kill_tree(os.getpid()).get(self.pid, signal.SIGKILL)
        return True

    def _check(self, tree: list[int], now: float) -> None:
        limits = self.limits
        if (
            len(tree) > limits.processes
        ):  # first: reading the memory of a fork bomb takes longer than its growth
            self._end(Cause.PROCESSES, grace=0, used=len(tree), limit=limits.processes)
            return
        self.memory = max(0, sum(map(proctree.private_memory, tree)) - (self.baseline if tree else 0))
        self.peak = max(self.peak, self.memory)
        wall = now - self.began
        if limits.memory_bytes is not None and self.memory > limits.memory_bytes:
            self._end(Cause.MEMORY, grace=0, used=self.memory, limit=limits.memory_bytes)
        elif limits.wall_seconds is not None and wall > limits.wall_seconds:
            self._end(Cause.WALL, grace=10.0, used=wall, limit=limits.wall_seconds)
        elif limits.disk_bytes is not None and now >= self._disk_next:
            self._disk_next = now + DISK_SECONDS
            size = folder_bytes(self.folder, limits.disk_bytes)
            if size > limits.disk_bytes:
                self._end(Cause.DISK, grace=0, used=size, limit=limits.disk_bytes)

    def _drain(self) -> None:
        """The child is gone: end what it left behind, then read what is left in the pipes."""
        proctree.kill_tree(os.getpid())
        self.cell.close()
        deadline = time.monotonic() + 2.0
        for read, descriptor in ((self._read_output, self.output), (self._read_progress, self.progress)):
            while time.monotonic() < deadline and _readable(descriptor) and read():
                continue
        self._pass_progress(self._held_until)
        self.log.close()

    def farewell(self) -> None:
        """Tell the worker how it ended."""
        status = 0 if self.status is None else self.status
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        scale = 1 if sys.platform == "darwin" else 1024
        seconds = used.ru_utime + used.ru_stime
        if number == signal.SIGXCPU and self.cause == Cause.EXITED:
            limit = float(self.limits.cpu_seconds or 0)  # the kernel counts a tick less than we are told
            self.cause, self.used, self.limit = Cause.CPU, max(seconds, limit), limit
        message = {
            "cause": self.cause,
            "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            "signal": number,
            "cpu_seconds": seconds,
            "max_rss": max(self.peak, (used.ru_maxrss - self._own_rss) * scale),
            "wall_seconds": time.monotonic() - self.began,
            "log_bytes": self.log.written,
            "used": self.used,
            "limit": self.limit,
        }
        self.channel.send({"exit": message}, patience=60)
        self.channel.close()


def open_result(folder: Path) -> int:
    """The result file, made for the program: from tier 1 on it cannot put anything else in its place."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(folder / RESULT_NAME, flags, 0o600)


def _message(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _readable(descriptor: int) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        return bool(selector.select(0))


def folder_bytes(folder: Path, enough: int) -> int:
    """Bytes allocated below a folder, links not followed; stops counting beyond `enough`."""
    total = 0
    queue = [str(folder)]
    while queue and total <= enough:
        try:
            with os.scandir(queue.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        queue.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue
    return total


def serve(connection: socket.socket, *, warm: bool) -> NoReturn:
    """Be the nanny of the one program whose folder the worker names in its first message; never returns."""
    code = 0
    try:
        os.setsid() if os.getpid() != os.getsid(0) else None
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the worker decides, not whoever signals the group
        become_subreaper()
        nanny = Nanny(connection, _folder_from(connection), warm=warm)
        nanny.start()
        nanny.watch()
        nanny.farewell()
    except BaseException:
        import traceback

        traceback.print_exc()
        proctree.kill_tree(os.getpid())
        code = 70
    finally:
        sys.stderr.flush()
        os._exit(code)


def _folder_from(connection: socket.socket) -> Path:
    connection.setblocking(True)
    raw = b""
    while not raw.endswith(b"\n"):
        data = connection.recv(4096)
        if not data:
            raise ConnectionError("the worker has gone before it named a folder")
        raw += data
    return Path(json.loads(raw)["folder"])


def main() -> NoReturn:
    """The cold start: a fresh interpreter whose descriptor of the connection is its first argument."""
    serve(socket.socket(fileno=int(sys.argv[1])), warm=False)
