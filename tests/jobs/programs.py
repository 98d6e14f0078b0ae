"""Programs for the executors' tests: obedient, failing, stubborn and hostile ones. Standard library only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from foundation.tasks import Context, UserError


def echo(ctx: Context) -> dict[str, Any]:
    """Reads its input, writes an output, logs, reports progress, returns its payload."""
    text = ctx.inputs["text"].read_text() if "text" in ctx.inputs else ""
    ctx.log.info("hello from %s", ctx.payload.get("name", "nobody"))
    (ctx.outputs / "copy.txt").write_text(text)
    for step in range(3):
        ctx.progress(step + 1, 3, "copying")
    return {
        "payload": ctx.payload,
        "text": text,
        "cwd": str(Path.cwd()),
        "nan": float("nan"),
        "nul": "a\x00b",
    }


def bar(ctx: Context) -> dict[str, Any]:
    """Says nothing of its progress, and prints a bar that rewrites its line."""
    ctx.progress(0, None, "Running")
    for step in range(1, 6):
        print(f"\r{step * 20}%|{'#' * step}| {step}/5 [00:01<00:01]", end="", flush=True)
        time.sleep(0.15)
    print()
    return {}


def user_error(ctx: Context) -> dict[str, Any]:
    raise UserError("The target column does not exist.", code="run.target_unknown", detail={"column": "y"})


def unexpected(ctx: Context) -> dict[str, Any]:
    raise KeyError("surprise")


def leaves(ctx: Context) -> dict[str, Any]:
    sys.exit(ctx.payload.get("code", 0))


def crash(ctx: Context) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGSEGV)
    return {}


def loops(ctx: Context) -> dict[str, Any]:
    """Obedient: reports progress for a long time."""
    for step in range(100_000):
        ctx.progress(step, None, "looping")
        time.sleep(0.01)
    return {}


def stubborn(ctx: Context) -> dict[str, Any]:
    """Ignores SIGTERM, and so do its children, one of which has hidden in a session of its own."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    hidden = subprocess.Popen(
        [sys.executable, "-S", "-c", code], start_new_session=True, stdout=subprocess.PIPE
    )
    assert hidden.stdout is not None
    hidden.stdout.readline()
    Path(ctx.payload["pids"]).write_text(json.dumps([os.getpid(), os.getppid(), hidden.pid]))
    ctx.progress(1, 1, "stubborn")
    time.sleep(600)
    return {}


def daemon(ctx: Context) -> dict[str, Any]:
    """Leaves a double-forked daemon behind and ends well."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writer, str(os.getpid()).encode())
            os.close(writer)
            time.sleep(600)
        os._exit(0)
    os.close(writer)
    pid = int(os.read(reader, 20))
    return {"pid": pid}


def environment(ctx: Context) -> dict[str, Any]:
    """What a child can see of its worker."""
    parent_environment = ""
    try:
        for pid in (os.getppid(), int(ctx.payload["worker"])):
            parent_environment += Path(f"/proc/{pid}/environ").read_text(errors="replace")
    except OSError:
        parent_environment += "refused"
    status = dict(
        line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line
    )
    return {
        "environ": dict(os.environ),
        "parents": parent_environment,
        "umask": oct(os.umask(0o077)),
        "session": os.getsid(0) == os.getpid(),
        "no_new_privs": status.get("NoNewPrivs", "").strip(),
        "descriptors": [number for number in range(256) if _is_open(number)],
        "cwd": str(Path.cwd()),
    }


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def dirty_output(ctx: Context) -> dict[str, Any]:
    out = sys.stdout.buffer
    out.write(b"caf\xc3\xa9 \xff\xfe bad\x00 bytes\n")
    out.flush()
    out.write(b"\xe2\x82")
    out.flush()
    time.sleep(0.02)
    out.write(b"\xac euro, in two writes\nno newline at the end")
    out.flush()
    return {}


def huge_line(ctx: Context) -> dict[str, Any]:
    block = b"x" * (1 << 20)
    for _ in range(ctx.payload["megabytes"]):
        sys.stdout.buffer.write(block)
    sys.stdout.buffer.write(b"\nafter the line\n")
    sys.stdout.buffer.flush()
    return {}


def huge_output(ctx: Context) -> dict[str, Any]:
    block = ("y" * 99 + "\n") * 10_000
    for _ in range(ctx.payload["megabytes"]):
        sys.stdout.write(block)
    print("the very last line")
    return {}


def eats_memory(ctx: Context) -> dict[str, Any]:
    hoard = []
    while True:
        hoard.append(bytearray(os.urandom(1) * (8 << 20)))
        time.sleep(0.005)


def fills_disk(ctx: Context) -> dict[str, Any]:
    for number in range(10_000):
        (ctx.folder / f"{number}.bin").write_bytes(b"z" * (1 << 20))
        time.sleep(0.005)
    return {}


def burns_cpu(ctx: Context) -> dict[str, Any]:
    while True:
        pass


def forks_many(ctx: Context) -> dict[str, Any]:
    for _ in range(2000):
        if os.fork() == 0:
            time.sleep(600)
    time.sleep(600)
    return {}


def forges_report(ctx: Context) -> dict[str, Any]:
    """Puts something else where its result file belongs, then dies without a report."""
    target = ctx.folder.parent / "result.json"
    target.unlink(missing_ok=True)
    kind = ctx.payload["kind"]
    if kind == "link":
        target.symlink_to("/etc/hostname")
    elif kind == "fifo":
        os.mkfifo(target)
    elif kind == "garbage":
        target.write_bytes(b"\xff{not json")
    elif kind == "deep":
        target.write_text("[" * 200_000)
    os._exit(0)


def libraries(ctx: Context) -> dict[str, Any]:
    """Uses the number libraries with threads, as a training job does."""
    import numpy as np
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5))
    y = (x[:, 0] > 0).astype(int)
    model = RandomForestClassifier(n_estimators=10, n_jobs=2, random_state=0).fit(x, y)
    import polars as pl

    frame = pl.DataFrame({"k": [1, 1, 2], "v": [1.0, 2.0, 3.0]})
    grouped = frame.group_by("k").agg(pl.col("v").sum()).sort("k")
    product = float((x.T @ x).trace())
    from threadpoolctl import threadpool_info

    try:
        from lightgbm import LGBMClassifier
    except OSError:  # the system has no libgomp
        boosted = False
    else:
        LGBMClassifier(n_estimators=5, n_jobs=2, verbose=-1).fit(x, y)
        boosted = True
    return {
        "boosted": boosted,
        "score": float(model.score(x, y)),
        "sums": grouped["v"].to_list(),
        "trace": product,
        "draw": float(np.random.random()),
        "threads": sorted({pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}),
    }


def uses_process_pool(ctx: Context) -> dict[str, Any]:
    """joblib's own processes would keep the output open for minutes if the way out forgot them."""
    from joblib import Parallel, delayed

    return {"squares": Parallel(n_jobs=2)(delayed(pow)(n, 2) for n in range(4))}


def poisons_progress(ctx: Context) -> dict[str, Any]:
    """Writes into the progress pipe what no database takes, then goes on for a while."""
    bad = {"step": float("nan"), "total": float("inf"), "message": "a\x00b\ud800", "more": {"x": [1] * 99}}
    os.write(3, json.dumps({"progress": bad}).encode() + b"\n")
    until = time.monotonic() + ctx.payload.get("seconds", 0)
    while time.monotonic() < until:
        time.sleep(0.02)
    return {}


def floods_progress(ctx: Context) -> dict[str, Any]:
    """Reports as fast as the pipe takes it, and says again and again that it has started."""
    os.set_blocking(3, True)
    until = time.monotonic() + ctx.payload["seconds"]
    lines = b'{"started": true}\n{"progress": {"step": 1, "total": 2, "message": "flood"}}\n' * 400
    while time.monotonic() < until:
        os.write(3, lines)
    return {"fine": True}


def huge_result(ctx: Context) -> dict[str, Any]:
    return {"text": "x" * (ctx.payload["megabytes"] << 20)}
