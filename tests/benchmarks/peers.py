"""The peers' own environment: made on first use, reused while requirements.txt stays the same."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def peer_python() -> Path:
    """Return the Python of the peers' environment, installing it if needed (a few minutes, once).

    It lies in the user's cache folder, named after the requirements' digest. Raises SystemExit with a sentence when
    the installation fails.
    """
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "atelier-bench"
    environment = cache / digest
    python = environment / "bin" / "python"
    if (environment / "complete").exists():
        return python
    print(f"Installing the peers into {environment} …", flush=True)
    cache.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(environment, ignore_errors=True)
    steps = [
        [sys.executable, "-m", "venv", str(environment)],
        [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
            str(REQUIREMENTS),
        ],
    ]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"The peers cannot be installed: {done.stderr.strip()[-600:]}")
    (environment / "complete").touch()
    return python


def quiet_environment(**more: str) -> dict[str, str]:
    """Return the environment of a measured process: no telemetry, no inherited studio settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ATELIER_", "DJANGO_"))}
    return kept | {"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONWARNINGS": "ignore"} | more


def work_folder(name: str) -> Path:
    """Return a fresh temporary folder for a benchmark's files; the caller removes it."""
    return Path(tempfile.mkdtemp(prefix=f"atelier-bench-{name}-"))
