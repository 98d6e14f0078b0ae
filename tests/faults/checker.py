"""The checker: joins the ledger, the database, the files and every answer, and says which promises were broken.

1 each acknowledged job is over, or waits, or is held under a lease
2 at most one end for a job; its artefact and its effect are of the winning fence, whole, and there once
3 no two fences write
4 no visible dataset version without all its bytes
5 nothing is left in the outbox; a trial is told once
6 no process, folder or attempt is left without an owner
7 a row of audit for each acknowledged change, exactly one
8 no 5xx but a declared 503; no stack trace and no secret in an answer or a log

And no fault, whatever it is, may look like a bug of ours (job.internal).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from tests.faults.arena import LIVE, Answer, Arena

TERMINAL = ("succeeded", "failed", "errored", "cancelled", "timed_out")
SWEPT = 20.0  # seconds until nothing of a killed process may be left
TRACE = "Traceback (most recent call last)"


def violations(arena: Arena, *, settled: bool = True) -> list[str]:
    """Sentences about broken promises, each beginning with the number of its invariant; [] is what we want.

    settled: nothing is under way, so every job is over and nothing may be left behind.
    """
    found = [*_accepted(arena, settled), *_ended_once(arena), *_effects(arena), *_versions(arena)]
    found += [*_audit(arena), *_answers(arena), *_logs(arena), *_bugs(arena)]
    return [*found, *_told(arena), *_remains(arena)] if settled else found


def check(arena: Arena) -> None:
    """Wait until nothing moves, then fail with everything that is wrong. What a killed process leaves behind is
    swept by others, who may take a moment."""
    arena.settle()
    deadline = time.monotonic() + SWEPT
    while (found := set(violations(arena)) - arena.reported) and time.monotonic() < deadline:
        time.sleep(0.5)
    arena.reported |= found  # a broken promise fails the test that broke it, not all that follow
    assert not found, "\n".join(["violated invariants:", *sorted(found)])


def _accepted(arena: Arena, settled: bool) -> list[str]:
    rows = {
        str(row[0]): row[1:]
        for row in arena.sql(
            "select id, state, lease_expires_at is not null, lease_expires_at > now() - interval '20 s' from jobs_job"
        )
    }
    found = []
    for job in arena.acknowledged:
        if job not in rows:
            found.append(f"1: job {job} was acknowledged and does not exist")
            continue
        state, leased, fresh = rows[job]
        if settled and state not in TERMINAL:
            found.append(f"1: job {job} is still {state}")
        elif state in LIVE and state != "queued" and not (leased and fresh):
            found.append(f"1: job {job} is {state} without a living lease")
    return found


def _ended_once(arena: Arena) -> list[str]:
    ends: dict[str, list[str]] = {}
    for job, kind in arena.sql(
        "select job_id, kind from jobs_jobevent where kind = any(%s) order by at", list(TERMINAL)
    ):
        ends.setdefault(str(job), []).append(str(kind))
    won: dict[str, list[int]] = {}
    for job, number in arena.sql("select job_id, number from jobs_jobattempt where outcome = 'succeeded'"):
        won.setdefault(str(job), []).append(int(number))
    found = []
    for job, state, fence in arena.sql("select id, state, fence from jobs_job"):
        key, wanted = str(job), [state] if state in TERMINAL else []
        if ends.get(key, []) != wanted:
            found.append(f"2: job {job} is {state}, its ends are {ends.get(key, [])}")
        winners = won.get(key, [])
        if winners != ([fence] if state == "succeeded" else []):
            found.append(f"2: job {job} is {state} at fence {fence}, its winning attempts are {winners}")
    return found


def _effects(arena: Arena) -> list[str]:
    found = []
    effects: dict[str, list[tuple[int, str, str]]] = {}
    for job, fence, key, sha256 in arena.sql("select job_id, fence, key, sha256 from faults_effect"):
        effects.setdefault(str(job), []).append((int(fence), str(key), str(sha256)))
    begun = arena.facts("begin", "restored")
    executed: Counter[tuple[str, int]] = Counter()
    ever = {(fact["job"], fact["fence"]) for fact in begun if fact["event"] == "begin"}
    for fact in begun:
        if fact["event"] == "restored":
            executed.clear()  # time was set back: what is not over begins again
        else:
            executed[fact["job"], fact["fence"]] += 1
    found += [f"3: job {job} began {n} times at fence {f}" for (job, f), n in executed.items() if n > 1]
    rows = arena.sql("select id, state, fence from jobs_job where kind like 'fault.%%'")
    for job, state, fence in rows:
        written = effects.pop(str(job), [])
        if len({f for f, _, _ in written}) > 1:
            found.append(f"3: the fences {sorted(f for f, _, _ in written)} of job {job} have written")
        if len(written) != (state == "succeeded"):
            found.append(f"2: job {job} is {state} and has {len(written)} effects")
        for effect, key, sha256 in written:
            path = arena.folder / key
            if effect != fence or not path.is_file():
                found.append(f"2: job {job} at fence {fence} shows the artefact {key}")
            elif hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
                found.append(f"2: the artefact {key} has other bytes than it was ended with")
        if state == "succeeded" and (str(job), fence) not in ever:
            found.append(f"2: job {job} succeeded at fence {fence}, which never ran")
    return [*found, *(f"2: the job {job} has effects and does not exist" for job in effects)]


def _versions(arena: Arena) -> list[str]:
    found = []
    for version, rows, key, size, sha256 in arena.sql(
        "select v.id, v.rows, p.key, p.bytes, p.sha256 from datasets_datasetversion v "
        "left join datasets_versionpart p on p.version_id = v.id where v.state = 'ready'"
    ):
        path = arena.home.objects / str(key)
        if key is None or not path.is_file() or path.stat().st_size != size:
            found.append(f"4: the version {version} ({rows} rows) lacks its part {key}")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            found.append(f"4: the part {key} has other bytes than its version says")
    return found


def _bugs(arena: Arena) -> list[str]:
    found = []
    for job, number in arena.sql(
        "select job_id, number from jobs_jobattempt where error_code = 'job.internal' "
        "union select id, fence from jobs_job where error_code = 'job.internal'"
    ):
        said = [line for line in arena.logs().splitlines() if line]
        first = next((n for n, line in enumerate(said) if str(job) in line), len(said))
        trace = "\n".join(said[first : first + 60])
        found.append(f"bug: attempt {number} of the job {job} ended as our own bug:\n{trace}")
    return found


def _told(arena: Arena) -> list[str]:
    rows = arena.sql("select count(*) from jobs_outbox")[0][0]
    return [f"5: {rows} doorbells are still in the outbox"] if rows else []


def _remains(arena: Arena) -> list[str]:
    found = [f"6: process {pid} belongs to nobody: {line}" for pid, line in arena.strays()]
    open_ones = arena.sql(
        "select a.job_id, a.number from jobs_jobattempt a join jobs_job j on j.id = a.job_id "
        "where a.finished_at is null and j.state = any(%s)",
        list(TERMINAL),
    )
    found += [f"6: attempt {number} of the ended job {job} is still open" for job, number in open_ones]
    living = arena.sql(
        "select count(*) from accounts_apitoken t join jobs_job j on j.id = t.job_id "
        "where t.revoked_at is null and j.state = any(%s)",
        list(TERMINAL),
    )[0][0]
    if living:
        found.append(f"6: {living} tokens of ended jobs still open doors")
    # What a killed web process was receiving is swept hours later; nothing that came to the present one may stay.
    present = psutil.Process(arena.processes["web"].pid).create_time() if arena.alive("web") else 0.0
    staged = [entry.name for entry in os.scandir(arena.home.staging) if entry.stat().st_mtime > present]
    return [*found, *(f"6: {name} is left in the staging area" for name in staged)]


def _audit(arena: Arena) -> list[str]:
    rows = arena.sql(
        "select action, subject_id, count(*) from accounts_auditevent where subject_kind = 'job' group by 1, 2"
    )
    counted = {(action, subject): int(n) for action, subject, n in rows}
    found = []
    for action, jobs in (("rehearsal.submit", set(arena.acknowledged)), ("job.cancel", arena.cancelled)):
        for job in jobs:
            number = counted.get((action, job), 0)
            if number != 1:
                found.append(f"7: {number} rows of audit say {action} of {job}")
    existing = {str(job) for (job,) in arena.sql("select id from jobs_job where kind like 'fault.%%'")}
    for action, subject in counted:
        if action == "rehearsal.submit" and subject not in existing:
            found.append(f"7: the audit speaks of the job {subject}, which does not exist")
    return found


def secrets_of(arena: Arena) -> set[str]:
    """What no answer and no log may hold."""
    passwords: dict[str, Any] = json.loads(arena.home.passwords.read_text())
    return {*map(str, passwords.values()), arena.home.secret_key.read_text().strip(), arena.token}


def _answers(arena: Arena) -> list[str]:
    found = []
    hidden = secrets_of(arena)
    for answer in list(arena.answers):
        what = f"{answer.method} {answer.path} → {answer.status}"
        if answer.status >= 500 and not _is_declared(answer):
            found.append(f"8: {what}: {answer.text[:200]}")
        if TRACE in answer.text:
            found.append(f"8: {what} shows a stack trace")
        found += [f"8: {what} shows a secret" for secret in hidden if secret in answer.text]
    return found


def _is_declared(answer: Answer) -> bool:
    """503 in the one shape of errors, with a code and a sentence, or the report of what is not ready."""
    try:
        if answer.path == "/readyz":
            return answer.status == 503 and "components" in answer.body
        if "/mlflow/" in answer.path:
            return answer.status == 503 and bool(answer.body["error_code"]) and bool(answer.body["message"])
        error = answer.body["error"]
        return answer.status == 503 and bool(error["code"]) and bool(error["message"])
    except (ValueError, KeyError, TypeError):
        return False


def _logs(arena: Arena) -> list[str]:
    logs: list[Path] = [*arena.home.logs.glob("*.log"), *arena.home.objects.rglob("*log*")]
    found = []
    hidden = secrets_of(arena)
    for path in logs:
        if path.is_file():
            text = path.read_text(errors="replace")
            found += [f"8: {path.name} holds a secret" for secret in hidden if secret in text]
            if path.suffix != ".log" and TRACE in text:
                found.append(f"8: the log {path.name} that people read shows a stack trace of ours")
    return found
