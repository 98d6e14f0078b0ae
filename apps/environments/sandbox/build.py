"""The program that resolves requirements and installs them into a folder, with uv.

Payload: requirements (text), hashes {name: [sha256]}, lock ("" = resolve first), folder (where the result will
lie at last), source_builds. The answer: lock, python, packages [{name, version}], size. The environment itself is
left in outputs/environment.

Wheels only, unless the operator allows source builds: unpacking one runs nobody's code.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from apps.environments.sandbox.explaining import explain
from foundation.tasks import Context, UserError

FOLDER = "environment"
SIZE_AT_MOST = 10 * 1000**3
LAST_LINES = 400
STEPS = 4


def main(ctx: Context) -> dict[str, Any]:
    """Resolve, install, compile, describe."""
    os.umask(0o022)  # what is made here is read by jobs that may run as other users
    uv = Uv(ctx, bool(ctx.payload.get("source_builds")))
    lock = str(ctx.payload.get("lock") or "")
    if not lock:
        ctx.progress(0, STEPS, "Resolving the requirements")
        lock = resolve(ctx, uv)
    ctx.progress(1, STEPS, "Downloading and unpacking")
    place = ctx.outputs / FOLDER
    install(ctx, uv, lock, place)
    site = site_packages(place)
    ctx.progress(2, STEPS, "Compiling")
    _compile(site, place, str(ctx.payload["folder"]))
    ctx.progress(3, STEPS, "Measuring")
    size = size_of(place)
    if size > SIZE_AT_MOST:
        raise UserError(
            f"The packages take {size / 1e9:.1f} GB; an environment may have {SIZE_AT_MOST / 1e9:.0f} GB.",
            code="environment.too_large",
        )
    packages = packages_in(site)
    ctx.log.info("%d packages, %.1f MB.", len(packages), size / 1e6)
    ctx.progress(STEPS, STEPS, "Ready")
    return {
        "lock": lock,
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "packages": packages,
        "size": size,
    }


class Uv:
    """The installer: its lines go into the job's log, and the last of them are kept for an explanation."""

    def __init__(self, ctx: Context, source_builds: bool) -> None:
        self.ctx = ctx
        self.only_wheels = [] if source_builds else ["--only-binary", ":all:"]
        self.program = find_uv()
        self.cache = ctx.folder / "cache"
        self.environment = {
            **os.environ,
            "UV_CACHE_DIR": str(self.cache),
            "UV_NO_PROGRESS": "1",
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_CONFIG": "" if os.environ.get("UV_CONFIG_FILE") else "1",
            "NO_COLOR": "1",
            "UV_LINK_MODE": "hardlink",
            "UV_HTTP_TIMEOUT": os.environ.get("UV_HTTP_TIMEOUT") or "60",
        }

    def __call__(self, *arguments: str, quiet: bool = False) -> tuple[int, str]:
        """Run it; returns its exit code and what it said."""
        more = ["--no-index"] if os.environ.get("UV_NO_INDEX") and arguments[0] == "pip" else []
        process = subprocess.Popen(
            [self.program, *arguments, *more],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if quiet else subprocess.PIPE,
            stderr=subprocess.STDOUT if not quiet else subprocess.PIPE,
            env={name: value for name, value in self.environment.items() if value},
            cwd=self.ctx.folder,
        )
        stream = process.stderr if quiet else process.stdout
        assert stream is not None
        lines: list[str] = []
        for raw in stream:
            line = without_passwords(raw.decode("utf-8", "replace").rstrip())
            lines = [*lines, line][-LAST_LINES:]
            if line:
                self.ctx.log.info("%s", line)
        return process.wait(), "\n".join(lines)


def find_uv() -> str:
    """The uv of the studio's own environment."""
    from uv import find_uv_bin

    return str(find_uv_bin())


def without_passwords(text: str) -> str:
    """Addresses without what stands before their @."""
    return re.sub(r"(?<=://)[^/@\s]+@", "****@", text)


def resolve(ctx: Context, uv: Uv) -> str:
    """The lock of the requirements: every package with its version and hashes."""
    wanted, locked = ctx.folder / "requirements.in", ctx.folder / "requirements.lock"
    wanted.write_text(str(ctx.payload["requirements"]), encoding="utf-8")
    code, said = uv(
        "pip", "compile", wanted.name, "--output-file", locked.name, "--generate-hashes", "--no-annotate",
        "--no-header", "--python", sys.executable, "--quiet", *uv.only_wheels,
    )  # fmt: skip
    if code:
        raise explain(said, "The requirements cannot be resolved")
    lock = locked.read_text(encoding="utf-8")
    return hold_hashes(lock, {str(k): list(v) for k, v in dict(ctx.payload.get("hashes") or {}).items()})


def hold_hashes(lock: str, allowed: dict[str, list[str]]) -> str:
    """The lock with only those hashes that the requirements allow for a package.

    Raises UserError "environment.hash" where none is left.
    """
    if not allowed:
        return lock
    found: list[str] = []
    for block in re.split(r"(?m)^(?=[A-Za-z0-9])", lock):
        name = re.split(r"[=\[; ]", block, maxsplit=1)[0].lower()
        if name in allowed:
            kept = [one for one in re.findall(r"sha256:([0-9a-f]{64})", block) if one in allowed[name]]
            if not kept:
                raise UserError(
                    f"None of the files of {block.split()[0]} has one of the hashes that the requirements give.",
                    code="environment.hash",
                )
            first = block.split("\\\n")[0].rstrip()
            block = " \\\n    ".join([first, *(f"--hash=sha256:{one}" for one in kept)]) + "\n"
        found.append(block)
    return "".join(found)


def install(ctx: Context, uv: Uv, lock: str, place: Path) -> None:
    """Make the environment in `place` and unpack the locked packages into it."""
    locked = ctx.folder / "requirements.lock"
    locked.write_text(lock, encoding="utf-8")
    base = getattr(sys, "_base_executable", sys.executable)
    code, said = uv("venv", "--relocatable", "--no-project", "--quiet", "--python", base, str(place))
    if code:
        raise explain(said, "The environment cannot be made")
    code, said = uv(
        "pip", "install", "--python", str(place / "bin" / "python"), "--require-hashes", "--no-deps",
        "--requirements", locked.name, *uv.only_wheels,
    )  # fmt: skip
    if code:
        raise explain(said, "The packages cannot be installed")


def site_packages(place: Path) -> Path:
    """Where an environment keeps its packages."""
    return place / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _compile(site: Path, place: Path, final: str) -> None:
    """Byte code beside the sources, as nobody can write it later; tracebacks name the final place."""
    jobs = str(os.cpu_count() or 1)
    command = [sys.executable, "-I", "-m", "compileall", "-qq", "-j", jobs, "-s", str(place), "-p", final]
    # Files that are no valid Python (some packages carry such, for their tests) stay without.
    subprocess.run([*command, str(site)], stdin=subprocess.DEVNULL, check=False)


def packages_in(site: Path) -> list[dict[str, str]]:
    """Name and version of what is installed, by name."""
    found = {
        str(one.metadata["Name"]): one.version
        for one in metadata.distributions(path=[str(site)])
        if one.metadata["Name"]
    }
    return [{"name": name, "version": found[name]} for name in sorted(found, key=str.lower)]


def size_of(folder: Path) -> int:
    """Bytes on disk below a folder."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            total += os.lstat(os.path.join(place, name)).st_blocks * 512
    return total
