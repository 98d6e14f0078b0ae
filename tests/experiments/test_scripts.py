"""Scripts of one's own: who may start them, what is refused before anything runs, and what a run remembers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from adapters.tracking.models import ModelDescription
from apps.accounts.access import Actor
from apps.accounts.models import AuditEvent
from apps.experiments.models import Experiment, Run
from apps.experiments.sandbox.script_outputs import description
from apps.experiments.scripts.checking import CODE_BYTES, check_code, check_name, name_from
from apps.experiments.scripts.highlight import highlighted
from apps.experiments.scripts.page import EXAMPLE, typed
from apps.jobs.models import Job
from apps.lineage.models import Edge
from foundation.errors import AtelierError
from tests.experiments.conftest import MakeVersion
from tests.support.datasets import run_inline
from tests.support.people import People

pytestmark = pytest.mark.django_db
RUNS = "/api/v1/projects/shop/runs"
PAGE = "/p/shop/experiments/new/script"
SOURCE = b'import os\nprint("hello", os.environ["SM_MODEL_DIR"])\n'


@pytest.fixture
def allowed(people: People) -> None:
    """Own scripts are allowed in the project."""
    people.project.own_code = True
    people.project.save(update_fields=["own_code"])


@pytest.fixture
def send(people: People) -> Callable[..., Any]:
    """POST a script: send(b"…", {"inputs": …}, name="train.py", by="contributor")."""

    def post(
        source: bytes | None = SOURCE, spec: Any = None, *, name: str = "train.py", by: str = "contributor"
    ) -> Any:
        body: dict[str, Any] = {"spec": spec if isinstance(spec, str) else json.dumps(spec or {})}
        if source is not None:
            body["code"] = SimpleUploadedFile(name, source)
        return people.api(by).post(RUNS, body, format="multipart")

    return post


Send = Callable[..., Any]


def error_of(answer: Any) -> dict[str, Any]:
    return dict(answer.json()["error"])


# --- who may


def test_it_is_off_at_first_and_says_who_can_allow_it(people: People, send: Send) -> None:
    answer = send()
    assert answer.status_code == 403
    assert error_of(answer)["code"] == "script.not_allowed"
    assert "maintainer or an owner" in error_of(answer)["message"]
    assert not Run.objects.exists()


@pytest.mark.parametrize(("by", "status"), [("contributor", 403), ("maintainer", 200)])
def test_a_maintainer_switches_it_with_an_audit_row(people: People, by: str, status: int) -> None:
    answer = people.api(by).patch("/api/v1/projects/shop", {"own_code": True}, format="json")
    assert answer.status_code == status
    people.project.refresh_from_db()
    assert people.project.own_code is (status == 200)
    rows = AuditEvent.objects.filter(action="project.allow_scripts")
    assert rows.count() == (1 if status == 200 else 0)
    if status == 200:
        people.api(by).patch("/api/v1/projects/shop", {"own_code": True}, format="json")
        people.api(by).patch("/api/v1/projects/shop", {"own_code": False}, format="json")
        assert rows.count() == 1
        assert AuditEvent.objects.filter(action="project.forbid_scripts").count() == 1


def test_the_settings_page_switches_it(people: People) -> None:
    page = people.client("maintainer")
    fields = {"name": "Shop", "description": "", "timezone": "UTC"}
    assert page.post("/p/shop/settings", {**fields, "own_code": "on"}).status_code == 302
    people.project.refresh_from_db()
    assert people.project.own_code
    page.post("/p/shop/settings", fields)
    people.project.refresh_from_db()
    assert not people.project.own_code


@pytest.mark.parametrize(
    ("by", "status"), [("viewer", 403), ("stranger", 404), ("anonymous", 401), ("contributor", 201)]
)
def test_starting_takes_a_contributor(allowed: None, send: Send, by: str, status: int) -> None:
    assert send(by=by).status_code == status


def test_a_job_starts_no_script(people: People, allowed: None, send: Send) -> None:
    from apps.experiments.scripts.spec import check_allowed

    job = Job.objects.get(pk=send().json()["job"])
    with pytest.raises(AtelierError) as caught:
        check_allowed(Actor(user=people.contributor, job_id=job.pk), people.project)
    assert caught.value.code == "script.by_job"


# --- what is accepted


def test_a_run_of_a_script_remembers_its_code_and_every_input(
    people: People, allowed: None, send: Send, make_version: MakeVersion
) -> None:
    first, second = make_version("churn"), make_version("regions")
    answer = send(
        SOURCE,
        {
            "experiment": "scripts",
            "inputs": {"regions": {"dataset": "regions", "format": "csv"}, "train": "churn@1"},
            "parameters": {"epochs": 10, "rate": 0.5, "name": "x", "fast": True},
            "timeout": 90,
            "retries": 2,
            "tags": {"team": "risk"},
        },
    )
    assert answer.status_code == 201, answer.json()
    run = answer.json()
    assert run["code"]["name"] == "train.py"
    assert run["dataset"] == "churn@1"
    assert run["parameters"] == {"epochs": 10, "rate": 0.5, "name": "x", "fast": True}
    assert run["channels"]["regions"] == {"dataset": "regions@1", "format": "csv"}
    assert run["tags"] == {"team": "risk"}
    assert run["name"].startswith("train-")
    kept = Run.objects.get(pk=run["id"])
    assert kept.job is not None
    assert (kept.job.timeout_seconds, kept.job.title) == (90, "Run train.py on churn@1")
    assert kept.job.user_retries_left == 2
    edges = Edge.objects.filter(target__key=run["id"]).values_list("source__key", flat=True)
    assert set(edges) == {str(first.pk), str(second.pk)}
    code = people.api("viewer").get(f"{RUNS}/{run['id']}/code")
    assert code.content == SOURCE
    assert "attachment" in code["Content-Disposition"]


def test_without_anything_else_a_file_is_enough(allowed: None, send: Send) -> None:
    run = send(name="C:\\work\\my train (2).py").json()
    assert run["code"]["name"] == "my_train__2_.py"
    assert (run["experiment"]["name"], run["dataset"], run["channels"]) == ("Default", None, {})
    job = Job.objects.get(pk=run["job"])
    assert job.timeout_seconds == 3600


def test_a_run_of_an_algorithm_has_no_code(
    people: People, start: Callable[..., Run], make_version: MakeVersion
) -> None:
    make_version()
    run = start()
    assert people.api("viewer").get(f"{RUNS}/{run.hex}/code").status_code == 404
    assert people.api("viewer").get(f"{RUNS}/{run.hex}").json()["code"] is None


# --- what is refused


@pytest.mark.parametrize(
    ("source", "code", "says"),
    [
        (b"", "script.empty", "empty"),
        (b"\xef\xbb\xbf  \n", "script.empty", "empty"),
        (b"print(1)\x00", "script.not_text", "NUL"),
        (b"print(1)\nx = '\xff'", "script.not_text", "line 2"),
        (b"def f(:\n  pass", "script.syntax", "line 1, column 7"),
        (b"for n in range(3):\nprint(n)", "script.syntax", "line 2"),
        (b"return 1", "script.syntax", "line 1"),
        (b"(" * 500 + b")" * 500, "script.syntax", ""),
        (b"x = " + b"-" * 60_000 + b"1\nprint(x)", "script.syntax", "deep"),
        (b"import os\n", "script.no_entry_point", "nothing would run"),
        (b"X = 3\ndef helper(): pass\ndef train(): pass", "script.no_entry_point", "train()"),
        (b'{"cells": [], "nbformat": 4}', "script.not_python", "notebook"),
        (b"PK\x03\x04\x00", "archive.unreadable", "end is missing"),
        (b"#!/bin/bash\nset -e\nls -l", "script.not_python", "/bin/bash"),
    ],
)
def test_what_is_no_script_is_refused_with_its_place(
    allowed: None, send: Send, source: bytes, code: str, says: str
) -> None:
    answer = send(source)
    assert answer.status_code == 422
    assert error_of(answer)["code"] == code
    assert error_of(answer)["detail"]["field"] == "code"
    assert says in error_of(answer)["message"]
    assert not Run.objects.exists()
    assert not Experiment.objects.filter(name="Default", runs__isnull=False).exists()


def test_a_syntax_error_has_line_and_column_in_its_detail(allowed: None, send: Send) -> None:
    detail = error_of(send(b"import os\n\nprint('a'\nx = = 2"))["detail"]
    assert (detail["line"], detail["field"]) == (3, "code")
    assert detail["column"] >= 1


def test_a_file_that_is_too_large_is_refused(allowed: None, send: Send) -> None:
    answer = send(b"#" * (CODE_BYTES + 1))
    assert answer.status_code == 413
    assert error_of(answer)["code"] == "script.too_large"


@pytest.mark.parametrize(
    ("spec", "status", "code", "field"),
    [
        ("{", 422, "request.invalid", "spec"),
        ("[1]", 422, "request.invalid", "spec"),
        ({"algorithm": "linear"}, 422, "run.unknown_field", "algorithm"),
        ({"entry_point": "../evil.py"}, 422, "script.bad_name", "entry_point"),
        ({"entry_point": "train.py:main"}, 422, "script.bad_name", "entry_point"),
        ({"entry_point": "random.py"}, 422, "script.bad_name", "entry_point"),
        ({"entry_point": 7}, 422, "script.bad_name", "entry_point"),
        ({"inputs": []}, 422, "run.bad_field", "inputs"),
        ({"inputs": {"train": "absent"}}, 404, "dataset.not_found", None),
        ({"inputs": {"train": "churn@9"}}, 404, "dataset.version_not_found", None),
        ({"inputs": {"train": 7}}, 422, "input.invalid", "inputs.train"),
        ({"inputs": {"train": {"dataset": "churn", "mode": 1}}}, 422, "input.invalid", "inputs.train"),
        ({"inputs": {"train": {"dataset": "churn", "format": "xml"}}}, 422, "input.invalid", "inputs.train"),
        ({"inputs": {"../x": "churn"}}, 422, "input.bad_name", "inputs"),
        ({"inputs": {"a-b": "churn", "a_b": "churn"}}, 422, "input.bad_name", "inputs"),
        ({"inputs": {f"c{n}": "churn" for n in range(21)}}, 422, "input.too_many", "inputs"),
        ({"parameters": [1]}, 422, "run.bad_field", "parameters"),
        ({"parameters": {"a b": 1}}, 422, "parameter.bad_name", "parameters"),
        ({"parameters": {"x": None}}, 422, "parameter.invalid", "parameters.x"),
        ({"parameters": {"x": [1]}}, 422, "parameter.invalid", "parameters.x"),
        ({"parameters": {"x": "y" * 3000}}, 422, "parameter.invalid", "parameters.x"),
        ({"parameters": {f"p{n}": n for n in range(101)}}, 422, "parameter.too_many", "parameters"),
        ({"timeout": 0}, 422, "run.out_of_range", "timeout"),
        ({"retries": 6}, 422, "run.out_of_range", "retries"),
        ({"retries": -1}, 422, "run.out_of_range", "retries"),
        ({"timeout": "soon"}, 422, "run.out_of_range", "timeout"),
        ({"tags": {"mlflow.x": "1"}}, 422, "run.reserved_tag", "tags"),
        ({"name": "a\x00b"}, 422, None, None),
    ],
)
def test_a_bad_request_names_its_field_and_leaves_nothing(
    allowed: None,
    send: Send,
    make_version: MakeVersion,
    spec: Any,
    status: int,
    code: str | None,
    field: str | None,
) -> None:
    make_version()
    answer = send(SOURCE, spec)
    assert answer.status_code == status, answer.json()
    found = error_of(answer)
    assert code is None or found["code"] == code
    assert field is None or found["detail"]["field"] == field
    assert not Run.objects.exists()
    assert not Job.objects.exists()


def test_a_form_without_a_file_and_json_that_means_a_script_are_told_what_to_send(
    people: People, allowed: None, send: Send
) -> None:
    answer = send(None)
    assert (answer.status_code, error_of(answer)["code"]) == (422, "upload.no_file")
    answer = people.api("contributor").post(RUNS, {"entry_point": "a.py", "inputs": {}}, format="json")
    assert (answer.status_code, error_of(answer)["code"]) == (422, "script.multipart")


def test_csv_is_refused_for_columns_that_it_cannot_hold(
    allowed: None, send: Send, make_version: MakeVersion
) -> None:
    version = make_version()
    version.schema = [*version.schema, {"name": "path", "type": "list", "nullable": False}]
    version.save(update_fields=["schema"])
    answer = send(SOURCE, {"inputs": {"train": {"dataset": "churn", "format": "csv"}}})
    assert error_of(answer)["code"] == "input.not_csv"


def test_names_of_files() -> None:
    assert name_from("a/b/train.py") == "train.py"
    assert name_from("") == name_from("notebook.ipynb") == "script.py"
    assert check_name("train-2.py") == "train-2.py"
    with pytest.raises(AtelierError):
        check_name("mlflow.py")


def test_the_example_is_a_script() -> None:
    assert check_code(EXAMPLE.read_bytes(), "train.py").digest


# --- the job


@pytest.fixture
def finish(fake_tracking: Any, store: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Bring the run's job to its end, with a program in place of the sandbox: finish(run, program)."""

    def run_to_end(run: Run, program: Callable[[Any], Any]) -> Run:
        monkeypatch.setattr("apps.experiments.sandbox.script.main", program)
        run_inline(run.job)
        again: Run = Run.objects.with_relations().get(pk=run.pk)
        return again

    return run_to_end


def test_the_job_is_given_the_code_and_the_parts(
    people: People, allowed: None, send: Send, make_version: MakeVersion, finish: Any, fake_tracking: Any
) -> None:
    make_version()
    run = Run.objects.get(
        pk=send(SOURCE, {"inputs": {"train": "churn"}, "parameters": {"depth": 10}}).json()["id"]
    )
    seen: dict[str, Any] = {}

    def program(ctx: Any) -> dict[str, Any]:
        seen["payload"] = dict(ctx.payload)
        seen["code"] = ctx.inputs["code"].read_bytes()
        seen["inputs"] = sorted(ctx.inputs)
        return {"files": 2, "left_out": [], "model": {"id": "m-" + "0" * 32}, "environment": {"python": "3"}}

    ended = finish(run, program)
    assert ended.state == "succeeded"
    assert seen["code"] == SOURCE
    assert seen["inputs"] == ["code", "train/part-00000"]
    assert seen["payload"]["parameters"] == {"depth": 10}
    assert ended.model is None, "a model that MLflow does not know as this run's is not its model"
    assert ended.details["files"] == 2
    data = fake_tracking.runs([run.hex])[run.hex]
    assert (data.status, data.params) == ("FINISHED", {"depth": "10"})


def test_a_parameter_that_the_script_logged_in_its_own_way_stays(
    people: People, allowed: None, send: Send, finish: Any, fake_tracking: Any
) -> None:
    run = Run.objects.get(pk=send(SOURCE, {"parameters": {"depth": 10}}).json()["id"])

    def program(ctx: Any) -> dict[str, Any]:
        fake_tracking._run(run.hex).params["depth"] = "10.0"
        return {}

    finish(run, program)
    assert fake_tracking.runs([run.hex])[run.hex].params == {"depth": "10.0"}


def test_a_project_that_forbids_scripts_in_the_meantime_runs_none(
    people: People, allowed: None, send: Send, finish: Any
) -> None:
    run = Run.objects.get(pk=send().json()["id"])
    people.project.own_code = False
    people.project.save(update_fields=["own_code"])
    ended = finish(run, lambda ctx: {})
    assert ended.state == "failed"
    assert ended.job is not None
    assert ended.job.error_code == "script.not_allowed"


def test_where_a_script_failed_stands_on_its_page(
    people: People, allowed: None, send: Send, finish: Any
) -> None:
    from foundation.tasks import UserError

    run = Run.objects.get(pk=send().json()["id"])

    def program(ctx: Any) -> dict[str, Any]:
        frames = [{"line": 7, "function": "fit", "text": "x = <rows>[0]"}]
        raise UserError(
            "KeyError: 0 (train.py, line 7, in fit).", code="script.failed", detail={"frames": frames}
        )

    finish(run, program)
    page = people.client("viewer").get(f"/p/shop/experiments/runs/{run.hex}/").content.decode()
    assert "train.py, line 7, in fit" in page
    assert "x = &lt;rows&gt;[0]" in page


def test_a_models_description_has_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("scikit-learn==1.9\n\n")
    found = description(ModelDescription("m-1", "", ("python_function", "sklearn")), tmp_path)
    assert found == {"flavors": ["sklearn"], "requirements": ["scikit-learn==1.9"]}


def test_code_is_escaped_and_coloured() -> None:
    lines = highlighted('if x < 1:  # <b>\n    s = """a\n<i>"""\n')
    assert lines == [
        '<span class="py-k">if</span> x &lt; <span class="py-n">1</span>:  <span class="py-c"># &lt;b&gt;</span>',
        '    s = <span class="py-s">&quot;&quot;&quot;a</span>',
        '<span class="py-s">&lt;i&gt;&quot;&quot;&quot;</span>',
    ]
    assert highlighted("x = (") == ["x = ("]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10),
        ("0.5", 0.5),
        ("1e5", "1e5"),
        ("007", "007"),
        ("true", True),
        ("True", "True"),
        ("nan", "nan"),
        ("", ""),
    ],
)
def test_what_was_typed_keeps_its_text(text: str, value: Any) -> None:
    assert typed(text) == value
    assert type(typed(text)) is type(value)


def test_the_documentation_shows_the_example_and_every_variable() -> None:
    from apps.experiments.sandbox.script_contract import Folders, variables

    text = (Path(__file__).parents[2] / "docs" / "scripts.md").read_text()
    assert EXAMPLE.read_text() in text
    given = variables(
        Folders(Path("work")),
        script="a.py",
        parameters={},
        channels={},
        run_id="r",
        project="p",
        processors=1,
    )
    internal = {
        "SM_INPUT_DIR",
        "SM_INPUT_CONFIG_DIR",
        "SM_USER_ARGS",
        "SM_USER_ENTRY_POINT",
        "SM_MODULE_NAME",
        "SM_LOG_LEVEL",
    }
    assert sorted(name for name in given if name not in internal and f"`{name}`" not in text) == []


def test_the_contract_tells_the_same_in_all_its_forms(tmp_path: Path) -> None:
    from apps.experiments.sandbox.script_contract import Folders, variables, write_config

    folders = Folders(tmp_path)
    folders.make()
    parameters: dict[str, Any] = {"epochs": 3, "name": "a b; $(x)", "fast": True}
    channels = {"train": "csv", "test": "parquet"}
    given = variables(
        folders,
        script="src/fit.py",
        parameters=parameters,
        channels=channels,
        run_id="r",
        project="p",
        processors=2,
    )
    write_config(folders, parameters, channels)
    everything = json.loads(given["SM_TRAINING_ENV"])
    assert json.loads(given["SM_HPS"]) == everything["hyperparameters"] == parameters
    assert (
        everything["channel_input_dirs"]["train"]
        == given["SM_CHANNEL_TRAIN"]
        == given["ATELIER_CHANNEL_TRAIN"]
    )
    assert (everything["model_dir"], everything["is_master"]) == (given["SM_MODEL_DIR"], True)
    assert everything["module_name"] == given["SM_MODULE_NAME"] == "src.fit"
    assert given["SM_CHECKPOINT_DIR"] == given["ATELIER_CHECKPOINT_DIR"] == str(folders.checkpoints)
    assert json.loads(given["SM_USER_ARGS"]) == ["--epochs", "3", "--fast", "True", "--name", "a b; $(x)"]
    assert (given["SM_HP_NAME"], given["ATELIER_PARAM_NAME"]) == ("a b; $(x)", "a b; $(x)")
    config = folders.config
    assert json.loads((config / "hyperparameters.json").read_text())["epochs"] == "3"
    assert json.loads((config / "resourceconfig.json").read_text()) == json.loads(given["SM_RESOURCE_CONFIG"])
    assert json.loads((config / "inputdataconfig.json").read_text()) == json.loads(
        given["SM_INPUT_DATA_CONFIG"]
    )
    assert all(Path(place).is_dir() for name, place in given.items() if name.endswith("_DIR"))
