"""Scripts in the real sandbox: the training contract, how they end, and what hostile ones can do."""

from __future__ import annotations

import json
import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.executors import landlock
from adapters.executors.local import LocalExecutor, LocalHandle
from adapters.executors.protocol import Cause, Exit, Report
from apps.jobs.attempts import Ending
from apps.jobs.verdict import judge
from foundation.tasks import SandboxPlan

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the Linux kernel")


@dataclass
class Ran:
    """What became of a script."""

    end: Exit
    report: Report | None
    log: str
    kept: dict[str, Any]
    folder: Path

    @property
    def ending(self) -> Ending:
        return judge(self.end, self.report, blame="platform", stop=None)

    @property
    def said(self) -> Any:
        """What the script wrote into said.json."""
        return json.loads(self.kept["artifacts"]["said.json"])


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExecutor]:
    executor = LocalExecutor(modules=["json"], scratch=tmp_path_factory.mktemp("parent"))
    executor.warm_up()
    assert executor.ready(30) is not None
    yield executor
    executor.close()


Start = Callable[..., LocalHandle]
Script = Callable[..., Ran]


@pytest.fixture
def start(warm: LocalExecutor, tmp_path: Path) -> Start:
    """Start a script without waiting for its end."""

    def begin(source: str, *, parameters: Any = None, channels: Any = None, **plan: Any) -> LocalHandle:
        code = tmp_path / "uploaded"
        code.write_text(textwrap.dedent(source))
        inputs = {"code": str(code)}
        for name, (_, path) in (channels or {}).items():
            inputs[f"{name}/part-00000"] = str(path)
        payload = {
            "run_id": "a" * 32,
            "project": "churn",
            "script": "train.py",
            "parameters": parameters or {},
            "channels": [{"name": n, "format": kind} for n, (kind, _) in (channels or {}).items()],
            "kept": str(tmp_path / "kept.json"),
        }
        plan = {"program": "tests.experiments.script_program:main", "env": {"TOKEN": "t"}, **plan}
        return warm.start(SandboxPlan(payload=payload, inputs=inputs, **plan), tmp_path / "attempt")

    return begin


@pytest.fixture
def script(start: Start, tmp_path: Path) -> Script:
    """Run a script to its end."""

    def finish(source: str, **given: Any) -> Ran:
        handle = start(source, **given)
        end = handle.wait(60)
        assert end is not None, "the script did not end"
        kept = tmp_path / "kept.json"
        ran = Ran(
            end=end,
            report=handle.report(),
            log=(tmp_path / "attempt" / "log.txt").read_text(),
            kept=json.loads(kept.read_text()) if kept.exists() else {},
            folder=tmp_path / "attempt",
        )
        handle.close()
        return ran

    return finish


@pytest.fixture
def table(tmp_path: Path) -> Path:
    import pandas as pd

    path = tmp_path / "table.parquet"
    pd.DataFrame(
        {"age": [31, 45, 60], "city": ["Rome", None, "a,b"], "left": [True, False, True]}
    ).to_parquet(path, index=False)
    return path


SAY = """
import json, os, sys
def say(value):
    with open(os.path.join(os.environ["SM_OUTPUT_DATA_DIR"], "said.json"), "w") as file:
        json.dump(value, file)
"""


def test_parameters_come_as_arguments_as_variables_and_as_a_file(script: Script) -> None:
    ran = script(
        SAY
        + """
config = json.load(open(os.path.join(os.environ["SM_INPUT_CONFIG_DIR"], "hyperparameters.json")))
say({
    "argv": sys.argv,
    "sm": {k: v for k, v in os.environ.items() if k.startswith("SM_HP")},
    "own": {k: v for k, v in os.environ.items() if k.startswith("ATELIER_PARAM")},
    "config": config,
})
""",
        parameters={"learning-rate": 0.1, "epochs": 10, "v": True},
    )
    assert ran.ending.outcome == "succeeded", ran.log
    assert ran.said["argv"] == ["train.py", "--epochs", "10", "--learning-rate", "0.1", "-v", "True"]
    assert ran.said["sm"]["SM_HP_LEARNING_RATE"] == "0.1"
    assert json.loads(ran.said["sm"]["SM_HPS"]) == {"learning-rate": 0.1, "epochs": 10, "v": True}
    assert ran.said["own"]["ATELIER_PARAM_EPOCHS"] == "10"
    assert ran.said["config"] == {"learning-rate": "0.1", "epochs": "10", "v": "True"}


def test_it_runs_as_the_main_program_in_its_own_folder(script: Script) -> None:
    ran = script(
        SAY
        + """
import pickle, inspect
class Model:
    pass
def source(): return 1
say({
    "name": __name__, "file": os.path.basename(__file__), "cwd": os.path.basename(os.getcwd()),
    "pickled": type(pickle.loads(pickle.dumps(Model()))).__module__,
    "source": inspect.getsource(source).strip(),
    "ours": [n for n in sys.modules if n.split(".")[0] in ("apps", "adapters", "foundation", "django")],
    "descriptors": sorted(int(d) for d in os.listdir("/proc/self/fd"))[:6],
})
"""
    )
    assert ran.ending.outcome == "succeeded", ran.log
    assert (ran.said["name"], ran.said["file"], ran.said["cwd"]) == ("__main__", "train.py", "code")
    assert ran.said["pickled"] == "__main__"
    assert ran.said["source"] == "def source(): return 1"
    assert ran.said["ours"] == []
    assert 3 not in ran.said["descriptors"][:3]


def test_channels_are_parquet_folders_or_csv_and_cannot_be_written(script: Script, table: Path) -> None:
    before = table.read_bytes()
    ran = script(
        SAY
        + """
import csv
train = os.environ["SM_CHANNEL_TRAIN"]
with open(os.path.join(os.environ["ATELIER_CHANNEL_RAW"], "raw.csv")) as file:
    rows = list(csv.reader(file))
os.chmod(os.path.join(train, "part-00000.parquet"), 0o600)
open(os.path.join(train, "part-00000.parquet"), "w").close()
say({"train": os.listdir(train), "rows": rows, "channels": json.loads(os.environ["SM_CHANNELS"])})
""",
        channels={"train": ("parquet", table), "raw": ("csv", table)},
    )
    assert ran.ending.outcome == "succeeded", ran.log
    assert ran.said["train"] == ["part-00000.parquet"]
    assert ran.said["rows"][0] == ["age", "city", "left"]
    assert ran.said["rows"][2:] == [["45", "", "false"], ["60", "a,b", "true"]]
    assert ran.said["channels"] == ["raw", "train"]
    assert table.read_bytes() == before


def test_an_exception_is_told_with_the_line_of_the_script(script: Script) -> None:
    ran = script(
        """
        import json
        def fit(rows):
            return json.loads(rows)
        fit("{")
        """
    )
    assert (ran.ending.outcome, ran.ending.error_code) == ("failed", "script.failed")
    assert ran.ending.reason.startswith("JSONDecodeError: Expecting property name")
    assert ran.ending.reason.endswith("(train.py, line 4, in fit).")
    frames = ran.ending.detail["frames"]
    assert [(f["line"], f["function"], f["text"]) for f in frames] == [
        (5, "<module>", 'fit("{")'),
        (4, "fit", "return json.loads(rows)"),
    ]
    assert 'File "train.py", line 4, in fit' in ran.log
    assert "script_child" not in ran.log


@pytest.mark.parametrize(
    ("source", "outcome", "sentence"),
    [
        ("import sys; sys.exit(0)", "succeeded", ""),
        ("raise SystemExit", "succeeded", ""),
        ("import sys; sys.exit(3)", "failed", "The script ended with code 3; the end of its log tells more."),
        ("import os; os._exit(4)", "failed", "The script ended with code 4; the end of its log tells more."),
        ("import sys; sys.exit('no data for March')", "failed", "no data for March"),
        ("import os; os.abort()", "failed", "The script crashed: aborted."),
        ("raise MemoryError", "failed", "The script ran out of memory (train.py, line 1)."),
        (
            "import nothing_of_that_name",
            "failed",
            "ModuleNotFoundError: No module named 'nothing_of_that_name' (train.py, line 1). A script has the "
            "packages that the studio itself uses.",
        ),
        (
            "import os\nopen(os.path.join(os.environ['SM_OUTPUT_DIR'], 'failure'), 'w').write('Bad rows.')\n1/0",
            "failed",
            "Bad rows. ZeroDivisionError: division by zero (train.py, line 3).",
        ),
    ],
)
def test_every_end_has_its_sentence(script: Script, source: str, outcome: str, sentence: str) -> None:
    ran = script(source)
    assert (ran.ending.outcome, ran.ending.reason) == (outcome, sentence), ran.log


def test_a_script_that_is_killed_says_so(script: Script) -> None:
    ran = script("import os; os.kill(0, 9)")
    assert (ran.ending.outcome, ran.ending.error_code) == ("failed", "script.killed")
    assert "may have run out of it" in ran.ending.reason


def test_files_of_a_failed_script_are_kept_and_links_are_not(script: Script) -> None:
    ran = script(
        """
        import os, pathlib
        out = pathlib.Path(os.environ["ATELIER_OUTPUT_DIR"])
        (out / "plots").mkdir()
        (out / "plots" / "a.txt").write_text("kept")
        os.symlink("/etc/passwd", out / "passwd")
        os.symlink("/etc", out / "etc")
        os.mkfifo(out / "pipe")
        1 / 0
        """
    )
    assert ran.ending.outcome == "failed"
    assert ran.kept["artifacts"] == {"plots/a.txt": "kept"}


def test_what_is_left_out_is_said(script: Script) -> None:
    ran = script(
        """
        import os, pathlib
        out = pathlib.Path(os.environ["SM_MODEL_DIR"])
        (out / "model.joblib").write_bytes(b"x")
        os.symlink("/etc/passwd", out / "passwd")
        """
    )
    assert ran.ending.outcome == "succeeded", ran.log
    assert ran.kept["artifacts"] == {"model/model.joblib": "x"}
    assert ran.ending.result["left_out"] == ["'passwd' is no regular file and is left out."]
    assert (ran.ending.result["model_files"], ran.ending.result["model"]) == (True, None)


def test_a_model_folder_becomes_the_model_with_its_signature(script: Script) -> None:
    ran = script(
        """
        import os, pathlib, json
        out = pathlib.Path(os.environ["SM_MODEL_DIR"])
        inputs = json.dumps([{"type": "long", "name": "age", "required": True}])
        outputs = json.dumps([{"type": "string"}])
        (out / "MLmodel").write_text(json.dumps({
            "flavors": {"sklearn": {}, "python_function": {}},
            "signature": {"inputs": inputs, "outputs": outputs},
        }))
        (out / "model.pkl").write_bytes(b"x")
        """
    )
    assert ran.ending.outcome == "succeeded", ran.log
    assert ran.kept["folders"] == [["MLmodel", "model.pkl"]]
    model = ran.ending.result["model"]
    assert model["flavors"] == ["sklearn"]
    assert model["signature"]["inputs"] == [{"name": "age", "type": "long", "required": True}]


def test_progress_is_read_from_a_file(start: Start) -> None:
    handle = start(
        """
        import json, os, time
        with open(os.environ["ATELIER_PROGRESS"], "w") as file:
            print(json.dumps({"step": 1, "total": 4, "message": "epoch 1"}), file=file)
            print(json.dumps({"step": 2, "total": 4, "message": "epoch 2"}), file=file)
        while True:
            time.sleep(0.05)
        """
    )
    deadline = time.monotonic() + 30
    while handle.progress.get("step") != 2 and time.monotonic() < deadline:
        handle.poll(0.05)
    assert handle.progress == {"step": 2, "total": 4, "message": "epoch 2"}
    handle.kill()
    assert handle.wait(30) is not None
    handle.close()


def test_a_script_that_is_asked_to_stop_may_tidy_up(start: Start, tmp_path: Path) -> None:
    handle = start(
        """
        import json, os, signal, sys, time
        def stop(*_):
            print("tidied")
            sys.exit(0)
        signal.signal(signal.SIGTERM, stop)
        with open(os.environ["ATELIER_PROGRESS"], "w") as file:
            file.write(json.dumps({"step": 1}))
        while True:
            time.sleep(0.05)
        """
    )
    deadline = time.monotonic() + 30
    while handle.progress.get("step") != 1 and time.monotonic() < deadline:
        handle.poll(0.05)
    handle.terminate(10)
    end = handle.wait(30)
    assert end is not None
    assert "tidied" in (tmp_path / "attempt" / "log.txt").read_text()
    assert end.cause == Cause.STOPPED
    handle.close()


# --- hostile


def test_a_script_that_writes_without_end_is_stopped(script: Script) -> None:
    source = """
        import os
        for n in range(1000):
            with open(f"{os.environ['SM_OUTPUT_DATA_DIR']}/{n}", "wb") as file:
                file.write(b"x" * 5_000_000)
        import time
        time.sleep(60)
        """
    ran = script(source, disk_bytes=40_000_000)
    assert (ran.ending.outcome, ran.ending.error_code) == ("failed", "job.disk_limit")
    assert ran.ending.reason.startswith("Killed: wrote ")
    assert ran.kept == {}


def test_one_file_that_is_too_large_is_stopped_at_the_limit(script: Script) -> None:
    source = """
        import os
        with open(f"{os.environ['SM_OUTPUT_DATA_DIR']}/big", "wb") as file:
            while True:
                file.write(b"x" * 1_000_000)
        """
    ran = script(source, disk_bytes=3_000_000)
    assert (ran.ending.outcome, ran.ending.error_code) == ("failed", "job.disk_limit")
    assert ran.ending.reason.startswith(("Stopped: the script wrote more than the 0.0 GB", "Killed: wrote"))


def test_a_script_that_takes_too_much_memory_is_stopped(script: Script) -> None:
    source = (
        "import time\nx = bytearray(300_000_000)\nfor n in range(0, len(x), 4096): x[n] = 1\ntime.sleep(60)"
    )
    ran = script(source, memory_bytes=100_000_000)
    assert (ran.ending.outcome, ran.ending.error_code) == ("failed", "job.memory_limit")


def test_what_a_script_leaves_running_ends_with_it(script: Script) -> None:
    ran = script(
        SAY
        + """
import subprocess, time
inside = subprocess.Popen(["sleep", "300"])
outside = subprocess.Popen(["sleep", "300"], start_new_session=True)
say([inside.pid, outside.pid])
"""
    )
    assert ran.ending.outcome == "succeeded", ran.log
    for pid in ran.said:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        assert state == "Z"


def test_it_sees_nothing_of_the_workers_environment(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_DATABASE_URL", "postgresql://do-not-tell")
    ran = script(SAY + "say(dict(os.environ))\n")
    assert "do-not-tell" not in json.dumps(ran.said)
    assert ran.said["TOKEN"] == "t"
    assert ran.said["HOME"].startswith(str(ran.folder))


@pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
def test_it_reads_and_writes_nothing_of_the_studio(script: Script, tmp_path: Path) -> None:
    """Another project's file, a secret of the studio, the environment of its processes, its own log and result."""
    secret = tmp_path / "passwords.json"
    secret.write_text("do-not-tell")
    ran = script(
        SAY
        + f"""
import signal
attempt = os.path.dirname(os.environ["HOME"])
def attempt_to(what):
    try:
        return str(what())
    except OSError as error:
        return type(error).__name__
outside = {os.getpid()}
say({{
    "secret": attempt_to(lambda: open({str(secret)!r}).read()),
    "folder": attempt_to(lambda: os.listdir({str(tmp_path)!r})),
    "source": attempt_to(lambda: open({__file__!r}).read()),
    "written": attempt_to(lambda: open({str(tmp_path / "new")!r}, "w")),
    "result": attempt_to(lambda: open(attempt + "/result.json", "w")),
    "log": attempt_to(lambda: open(attempt + "/log.txt", "a")),
    "environment": attempt_to(lambda: len(open(f"/proc/{{outside}}/environ", "rb").read())),
    "signal": attempt_to(lambda: os.kill(outside, 0)),
    "wrapper": attempt_to(lambda: os.kill(os.getppid(), 0)),
    "temporary": attempt_to(lambda: open(os.environ["TMPDIR"] + "/a", "w").close()),
    "zone": attempt_to(lambda: len(open("/etc/passwd").read()) > 0),
}})
"""
    )
    assert ran.ending.outcome == "succeeded", ran.log
    refused = ("secret", "folder", "source", "written", "result", "log", "environment")
    assert {name: ran.said[name] for name in refused} == dict.fromkeys(refused, "PermissionError")
    if landlock.version() >= 6:
        assert ran.said["signal"] == ran.said["wrapper"] == "PermissionError"
    assert (ran.said["temporary"], ran.said["zone"]) == ("None", "True")


def test_its_own_processes_work_as_everywhere(script: Script) -> None:
    ran = script(
        SAY
        + """
import multiprocessing, subprocess, tempfile
def double(n):
    return 2 * n
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map(double, [1, 2])
    printed = subprocess.run([sys.executable, "-c", "print(7)"], capture_output=True, text=True).stdout.strip()
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("x")
    say([found, printed])
"""
    )
    assert ran.ending.outcome == "succeeded", ran.log
    assert ran.said == [[2, 4], "7"]


def test_a_forged_progress_or_failure_file_does_no_harm(script: Script) -> None:
    ran = script(
        """
        import os
        os.mkfifo(os.environ["ATELIER_PROGRESS"])
        os.symlink("/etc/hostname", os.path.join(os.environ["SM_OUTPUT_DIR"], "failure"))
        1 / 0
        """
    )
    assert ran.ending.reason == "ZeroDivisionError: division by zero (train.py, line 5)."


def test_a_fork_bomb_is_stopped(script: Script) -> None:
    ran = script(
        "import os, time\nfor n in range(60): os.fork() or time.sleep(60)\ntime.sleep(60)", processes=30
    )
    assert (ran.ending.outcome, ran.ending.error_code) == ("failed", "job.process_limit")
    assert ran.ending.reason.endswith("30 are allowed.")


def test_the_number_of_its_processes_has_an_end(script: Script) -> None:
    source = """
        import os, resource
        print("limit", resource.getrlimit(resource.RLIMIT_NPROC))
        assert resource.getrlimit(resource.RLIMIT_NPROC)[0] < 10 ** 6
        """
    ran = script(source)
    assert ran.ending.outcome == "succeeded", ran.log
