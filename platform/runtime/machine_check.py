"""What the machine offers beyond the locked packages: each answer is (level, what, how to mend it)."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
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


def git() -> Answer:
    """Whether runs may take their code from git repositories."""
    mend = "install git 2.37 or newer; scripts and archives need nothing of it"
    try:
        said = subprocess.run(
            ["git", "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return "note", "the program git is missing, so runs cannot take code from repositories", mend
    numbers = re.search(r"(\d+)\.(\d+)", said)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < (2, 37):
        return "note", f"{said.strip()} is too old, so runs cannot take code from repositories", mend
    return "ok", f"{said.strip()}: runs can take code from repositories", ""


def isolation() -> Answer:
    """How strongly jobs are shut in here, tried once in a process of its own."""
    environment = {"PATH": os.defpath, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    ceiling = os.environ.get("ATELIER_ISOLATION") or "3"
    with tempfile.TemporaryDirectory(prefix="atelier-doctor-") as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-B", "-m", "adapters.executors.choosing", folder, ceiling],
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
                env=environment,
            )
            found = json.loads(done.stdout)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            return "note", f"the isolation of jobs cannot be tried: {error}", ""
    tier, reasons = int(found["tier"]), found["reasons"]
    if tier == 3 or ceiling == str(tier):
        return "ok", f"jobs run at isolation tier {tier} of 3", ""
    return (
        "note",
        f"jobs run at isolation tier {tier} of 3. {' '.join(reasons)}",
        "see docs/isolation.md (mostly: allow user namespaces, sysctl kernel.unprivileged_userns_clone=1)",
    )


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
