"""A script in an environment of its own, in the real sandbox: other packages, the same confinement."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.executors import landlock
from adapters.executors.choosing import choose
from adapters.executors.isolation import Isolation
from adapters.executors.local import LocalExecutor
from adapters.executors.protocol import Cause
from apps.environments.building import build_plan, read_build
from apps.jobs.verdict import judge
from foundation.tasks import SandboxPlan
from tests.environments.conftest import wheel

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the Linux kernel")
ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., Any]


@pytest.fixture(scope="module", params=["open", "shut"])
def executor(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExecutor]:
    """Tier 0, and the strongest that this machine has."""
    scratch = tmp_path_factory.mktemp("parent")
    tier = choose(scratch).tier if request.param == "shut" else 0
    isolation = Isolation(tier, readable=(str(ROOT / "tests"),))
    executor = LocalExecutor(modules=["json"], scratch=scratch, isolation=isolation)
    executor.warm_up()
    assert executor.ready(30) is not None
    yield executor
    executor.close()


@pytest.fixture(scope="module")
def place(executor: LocalExecutor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment built in the sandbox from one wheel."""
    folder = tmp_path_factory.mktemp("building")
    wheels = folder / "wheels"
    wheels.mkdir()
    wheel(wheels, "tinyboost", "2.0", code="VERSION = '2.0'\ndef fit(x):\n    return 1 / x\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_CONFIG_FILE", "/dev/null")
        for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("UV_FIND_LINKS", str(wheels))
        patch.setenv("UV_NO_INDEX", "1")
        patch.setattr("apps.environments.places.root", lambda: folder / "environments")
        plan = build_plan(requirements="tinyboost\n")
    handle = executor.start(plan, folder / "attempt")
    assert handle.wait(60) is not None
    made, problem = read_build(handle.report(), folder / "attempt")
    handle.close()
    assert made is not None, problem + (folder / "attempt" / "log.txt").read_text()
    (folder / "environments").mkdir()
    return made.rename(folder / "environments" / ("a" * 64))


@pytest.fixture
def run(executor: LocalExecutor, place: Path, tmp_path: Path) -> Run:
    """Run a script in the environment; returns (ending, said.json, log)."""

    def finish(source: str) -> Any:
        code = tmp_path / "uploaded"
        code.write_text(textwrap.dedent(source))
        interpreter = str(place / "bin" / "python")
        plan = SandboxPlan(
            program="tests.experiments.script_program:main",
            payload={
                "run_id": "a" * 32,
                "project": "churn",
                "script": "train.py",
                "parameters": {"rate": 0.1},
                "channels": [],
                "kept": str(tmp_path / "attempt" / "outputs" / "kept.json"),
                "interpreter": interpreter,
                "packages": "boost",
            },
            inputs={"code": str(code)},
            env={"TOKEN": "t"},
            interpreter=interpreter,
        )
        handle = executor.start(plan, tmp_path / "attempt")
        end = handle.wait(60)
        assert end is not None
        ending = judge(end, handle.report(), blame="platform", stop=None)
        handle.close()
        path = tmp_path / "attempt" / "outputs" / "kept.json"
        kept = json.loads(path.read_text()) if path.exists() else {}
        said = kept.get("artifacts", {}).get("said.json")
        return ending, json.loads(said) if said else None, (tmp_path / "attempt" / "log.txt").read_text()

    return finish


def test_it_has_its_own_packages_and_the_whole_contract(run: Run, place: Path) -> None:
    ending, said, log = run(
        """
        import json, os, subprocess, sys
        import tinyboost
        def importable(name):
            try:
                __import__(name)
                return True
            except ImportError:
                return False
        inner = subprocess.run([sys.executable, "-c", "import tinyboost; print(tinyboost.VERSION)"],
                               capture_output=True, text=True)
        said = {
            "version": tinyboost.VERSION, "prefix": sys.prefix, "argv": sys.argv, "name": __name__,
            "file": os.path.basename(__file__), "path": sys.path[0], "cwd": os.getcwd(),
            "studio": [importable(name) for name in ("numpy", "django", "foundation", "apps", "uv")],
            "rate": os.environ["SM_HP_RATE"], "inner": inner.stdout.strip(), "token": os.environ["TOKEN"],
            "which": os.environ["PATH"].split(":")[0],
        }
        with open(os.path.join(os.environ["SM_OUTPUT_DATA_DIR"], "said.json"), "w") as file:
            json.dump(said, file)
        print("trained")
        """
    )
    assert (ending.outcome, ending.reason) == ("succeeded", "")
    assert said["version"] == said["inner"] == "2.0"
    assert said["prefix"] == str(place)
    assert said["argv"] == ["train.py", "--rate", "0.1"]
    assert (said["name"], said["file"], said["path"]) == ("__main__", "train.py", said["cwd"])
    assert said["studio"] == [False] * 5
    assert (said["rate"], said["token"], said["which"]) == ("0.1", "t", str(place / "bin"))
    assert "trained" in log
    assert ending.result["environment"]["packages"] == {"tinyboost": "2.0"}


def test_an_exception_is_told_with_the_line_of_the_script(run: Run) -> None:
    ending, _, log = run("import tinyboost\n\ntinyboost.fit(0)\n")
    assert ending.reason == "ZeroDivisionError: division by zero (train.py, line 3)."
    assert 'File "train.py", line 3, in <module>' in log
    assert "tinyboost.py" in log  # the rest of the way stands in the log
    assert "<string>" not in log


def test_a_missing_package_names_the_environment(run: Run) -> None:
    ending, _, _ = run("import mlflow")
    assert ending.reason == (
        "ModuleNotFoundError: No module named 'mlflow' (train.py, line 1). "
        "Add it to the requirements of the environment boost."
    )


@pytest.mark.skipif(not landlock.version(), reason="the kernel has no Landlock")
def test_it_cannot_change_the_packages_or_read_the_rest(run: Run, place: Path, tmp_path: Path) -> None:
    (place.parent / "done").mkdir(exist_ok=True)  # another environment
    secret = tmp_path / "secret"
    secret.write_text("x")
    ending, said, _ = run(
        f"""
        import json, os, tinyboost
        def attempt(what):
            try:
                what()
                return "done"
            except OSError as error:
                return type(error).__name__
        said = [
            attempt(lambda: open(tinyboost.__file__, "a").close()),
            attempt(lambda: os.unlink({str(place / "pyvenv.cfg")!r})),
            attempt(lambda: open({str(secret)!r}).close()),
        ]
        try:
            said += [name for name in os.listdir({str(place.parent)!r}) if name != {place.name!r}]
        except OSError:
            pass
        with open(os.path.join(os.environ["SM_OUTPUT_DATA_DIR"], "said.json"), "w") as file:
            json.dump(said, file)
        """
    )
    assert ending.outcome == "succeeded"
    assert "done" not in said
    assert (place / "pyvenv.cfg").exists()


def test_it_is_stopped_with_everything_it_started(
    executor: LocalExecutor, place: Path, tmp_path: Path
) -> None:
    code = tmp_path / "uploaded"
    code.write_text("import time\nprint('up', flush=True)\ntime.sleep(600)\n")
    interpreter = str(place / "bin" / "python")
    payload = {
        "run_id": "a" * 32, "project": "churn", "script": "train.py", "parameters": {}, "channels": [],
        "kept": str(tmp_path / "attempt" / "outputs" / "kept.json"), "interpreter": interpreter,
    }  # fmt: skip
    plan = SandboxPlan(
        program="tests.experiments.script_program:main",
        payload=payload,
        inputs={"code": str(code)},
        interpreter=interpreter,
    )
    handle = executor.start(plan, tmp_path / "attempt")
    log = tmp_path / "attempt" / "log.txt"
    for _ in range(200):
        handle.poll(0.05)
        if log.exists() and "up" in log.read_text():
            break
    handle.terminate(5)
    end = handle.wait(20)
    handle.close()
    assert end is not None
    assert end.cause == Cause.STOPPED
