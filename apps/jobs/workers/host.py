"""What the machine under a worker offers its jobs, and how busy it is."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.jobs import rules

if TYPE_CHECKING:
    from runtime.config import Config

CGROUP = Path("/sys/fs/cgroup")
_NVIDIA = re.compile(r"nvidia\d+")


def offered(config: Config) -> dict[str, Any]:
    """What all jobs of a worker may use together: {"cpus", "memory_bytes", "gpus"}; as told, else what the machine
    (or the container) has."""
    return {
        "cpus": config.cpus if config.cpus is not None else processors(),
        "memory_bytes": config.memory_bytes or int(memory() * rules.MEMORY_SHARE),
        "gpus": config.gpus if config.gpus is not None else graphics_processors(),
    }


def processors() -> float:
    """Processors that this process may use."""
    try:
        mine = float(len(os.sched_getaffinity(0)))
    except AttributeError:  # not on macOS
        mine = float(os.cpu_count() or 1)
    words = _first_line("cpu.max").split()
    if len(words) == 2 and all(word.isdigit() for word in words) and int(words[1]):
        return min(mine, round(int(words[0]) / int(words[1]), 2))
    return mine


def memory() -> int:
    """Bytes of memory of the machine, or of the container."""
    import psutil

    total = int(psutil.virtual_memory().total)
    limit = _first_line("memory.max")
    return min(total, int(limit)) if limit.isdigit() else total


def graphics_processors() -> int:
    """Graphics processors of NVIDIA whose device files are here, or those that CUDA_VISIBLE_DEVICES leaves."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([name for name in visible.split(",") if name.strip() not in ("", "-1")])
    try:
        return sum(1 for name in os.listdir("/dev") if _NVIDIA.fullmatch(name))
    except OSError:
        return 0


def _first_line(name: str) -> str:
    try:
        return (CGROUP / name).read_text(encoding="ascii").split("\n", 1)[0].strip()
    except (OSError, ValueError):
        return ""


@functools.cache
def release(root: Path) -> str:
    """A short name of the code below `root`, the same on all machines that run the same: of its lock and migrations."""
    total = hashlib.sha256()
    for path in [root / "requirements.txt", *sorted(root.glob("apps/*/migrations/*.py"))]:
        total.update(path.relative_to(root).as_posix().encode())
        total.update(path.read_bytes())
    return total.hexdigest()[:8]


def describe(config: Config) -> dict[str, Any]:
    """What a worker tells of its host when it registers."""
    return {
        "system": f"{platform.system()} {platform.release()}"[:80],
        "machine": platform.machine()[:40],
        "python": platform.python_version(),
        "processors": processors(),
        "memory_bytes": memory(),
        "internal_url": config.internal_url,
    }


def load(folder: Path) -> dict[str, Any]:
    """How busy the machine is: processor share since the last look, memory in use, space left in `folder`."""
    import psutil

    try:
        free = psutil.disk_usage(str(folder)).free
    except OSError:
        free = None
    return {
        "cpu_percent": psutil.cpu_percent(interval=None),
        "memory_used": psutil.virtual_memory().used,
        "disk_free": free,
    }
