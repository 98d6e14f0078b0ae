"""`manage.py run-local`: the training contract from the terminal, with the real sandbox and without a database."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps.experiments.scripts import local
from apps.experiments.scripts.local import Ended, LocalRun, run_local
from foundation.errors import AtelierError
from tests.environments.conftest import wheel

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the Linux kernel")
ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import argparse, json, os, sys
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=0)
parser.add_argument("--note", default="")
args = parser.parse_args()
folder = os.environ["SM_CHANNEL_TRAIN"]
state = os.path.join(os.environ["SM_CHECKPOINT_DIR"], "state.json")
before = json.load(open(state)) if os.path.exists(state) else 0
print("rows", len(open(os.path.join(folder, os.listdir(folder)[0])).readlines()), "from", before)
json.dump(before + args.epochs, open(state, "w"))
for name, text in (("SM_MODEL_DIR", "model"), ("SM_OUTPUT_DATA_DIR", args.note)):
    open(os.path.join(os.environ[name], "said.txt"), "w").write(text)
print(os.environ["GREETING"], file=sys.stderr)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "file.csv").write_text("a\n1\n2\n")
    return tmp_path


def run(place: Path, **more: object) -> tuple[Ended, str]:
    given = {
        "code": place / "train.py",
        "output": place / "out",
        "inputs": {"train": place / "file.csv"},
        **more,
    }
    out = io.StringIO()
    return run_local(LocalRun(**given), out), out.getvalue()  # type: ignore[arg-type]


def test_a_script_finds_the_contract_and_leaves_its_files(place: Path) -> None:
    shell = '$(touch pwned); `ls` && "x" | y > z'
    ended, said = run(place, parameters={"epochs": 3, "note": shell}, variables={"GREETING": "good day"})
    assert (ended.code, ended.sentence) == (0, ""), said
    assert "rows 3 from 0" in said
    assert "good day" in said
    assert (place / "out" / "outputs" / "said.txt").read_text() == shell
    assert (place / "out" / "model" / "said.txt").read_text() == "model"
    assert (place / "out" / "checkpoints" / "state.json").read_text() == "3"
    assert "rows 3" in (place / "out" / "log.txt").read_text()
    again, said = run(
        place, parameters={"epochs": 2}, variables={"GREETING": ""}, output=place / "next",
        resume=place / "out" / "checkpoints",
    )  # fmt: skip
    assert again.code == 0
    assert "rows 3 from 3" in said
    assert sorted(os.listdir(place)) == ["file.csv", "next", "out", "train.py"]


@pytest.mark.parametrize(
    ("source", "code", "says"),
    [
        ("import sys\nsys.exit(7)", 7, "code 7"),
        ("raise ValueError('no way')", 1, "ValueError: no way (train.py, line 1)"),
        ("import os\nos.abort()", 1, "crashed"),
        ("import time\ntime.sleep(60)", local.TIMED_OUT, "Stopped after 1 s"),
    ],
)
def test_the_command_ends_as_the_script_did(place: Path, source: str, code: int, says: str) -> None:
    (place / "train.py").write_text(source)
    ended, _ = run(place, timeout=1 if "sleep" in source else None)
    assert ended.code == code
    assert says in ended.sentence


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"code": "gone.py"}, "local.missing"),
        ({"inputs": {"train": Path("/gone.csv")}}, "local.missing"),
        ({"inputs": {"../x": Path(__file__)}}, "input.bad_name"),
        ({"output": "train.py"}, "local.output"),
        ({"resume": Path("/gone")}, "local.missing"),
        ({"environment": Path("/gone.txt")}, "local.missing"),
        ({"variables": {"LD_PRELOAD": "x"}}, "job.environment"),
        ({"parameters": {"a b": 1}}, "parameter.bad_name"),
    ],
)
def test_what_cannot_be_started_is_said(place: Path, change: dict[str, object], code: str) -> None:
    more = {name: place / value if isinstance(value, str) else value for name, value in change.items()}
    with pytest.raises(AtelierError) as caught:
        run(place, **more)
    assert caught.value.code == code
    assert not (place / "out").exists()


def test_a_folder_runs_with_all_its_modules(place: Path) -> None:
    code = place / "code"
    (code / "tools").mkdir(parents=True)
    (code / "tools" / "__init__.py").write_text("NAME = 'tools'\n")
    (code / ".venv").mkdir()
    (code / ".venv" / "large.py").write_text("raise SystemExit(9)\n")
    (code / "main.py").write_text("import os, tools\nprint(tools.NAME, sorted(os.listdir()))\n")
    ended, said = run(place, code=code, inputs={})
    assert ended.code == 0, said
    assert "tools ['main.py', 'tools']" in said
    (code / "tools" / "fail.py").write_text("def go():\n    raise KeyError('x')\n")
    (code / "main.py").write_text("from tools.fail import go\ngo()\n")
    ended, _ = run(place, code=code, inputs={}, output=place / "next")
    assert (ended.code, ended.sentence) == (1, "KeyError: 'x' (tools/fail.py, line 2, in go).")


def test_an_environment_is_built_once_and_a_wrong_one_says_why(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "ATELIER_HOME": str(place / "home"), "UV_FIND_LINKS": str(place / "wheels"), "UV_NO_INDEX": "1",
        "PIP_CONFIG_FILE": os.devnull,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    (place / "wheels").mkdir()
    wheel(place / "wheels", "tinything", "1.0", code="VALUE = 42\n")
    (place / "wanted.txt").write_text("tinything>=1\n")
    (place / "train.py").write_text("import tinything\nprint('value', tinything.VALUE)\n")
    for output in ("first", "second"):
        ended, said = run(place, inputs={}, environment=place / "wanted.txt", output=place / output)
        assert ended.code == 0, said
        assert "value 42" in said
        assert ("Building" in said) is (output == "first")
    (place / "wanted.txt").write_text("nonexistent-thing>=9\n")
    with pytest.raises(AtelierError) as caught:
        run(place, inputs={}, environment=place / "wanted.txt")
    assert "nonexistent-thing was not found" in caught.value.message
    assert not (place / "out").exists()


def test_the_command_says_where_the_files_are_and_stops_when_asked(place: Path) -> None:
    (place / "train.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(60)\n")
    command = [sys.executable, str(ROOT / "manage.py"), "run-local", "train.py", "--param", "epochs=3"]
    process = subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "begun" in process.stdout.readline()
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    said = process.stdout.read()
    assert process.wait(30) == local.INTERRUPTED
    assert time.monotonic() - began < 30
    assert f"It left log.txt in {place / 'local-run-1'}." in said


@pytest.mark.parametrize(
    ("given", "says"), [(["x"], "takes NAME=VALUE"), (["=1"], "takes NAME"), (["a=1", "a=2"], "twice")]
)
def test_arguments_are_pairs(given: list[str], says: str) -> None:
    assert local.pairs(["a=b=c", "d="], "param") == {"a": "b=c", "d": ""}
    with pytest.raises(AtelierError) as caught:
        local.pairs(given, "param")
    assert says in caught.value.message
