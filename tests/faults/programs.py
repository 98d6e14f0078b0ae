"""What the fault suite's jobs run in their children. Standard library only: a child starts at once."""

from __future__ import annotations

import hashlib
import time
import urllib.error
import urllib.request
from typing import Any

from foundation.tasks import Context
from tests.faults.ledger import note


def work(ctx: Context) -> dict[str, Any]:
    """Writes each step into the ledger, then an output. payload: ledger, job, fence, steps, pause (seconds);
    with url and token it also knocks at the studio in its attempt's name at each step."""
    told = ctx.payload
    ledger, facts = told["ledger"], {"job": told["job"], "fence": told["fence"]}
    note(ledger, "begin", **facts)
    for step in range(told["steps"]):
        ctx.progress(step, told["steps"], "working")
        time.sleep(told["pause"])
        if told.get("token"):
            note(ledger, "knock", asked=time.monotonic(), status=_knock(told["url"], told["token"]), **facts)
        note(ledger, "step", step=step, **facts)
        print(f"step {step} done", flush=True)
    content = f"{told['job']} by {told['fence']}\n".encode() * 1000 + b"x" * told["size"]
    (ctx.outputs / "made.txt").write_bytes(content)
    note(ledger, "end", **facts)
    return {"fence": told["fence"], "sha256": hashlib.sha256(content).hexdigest()}


def _knock(url: str, token: str) -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
