"""The pages of own scripts: the form with its example, what comes back when it is wrong, and a script's run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from apps.experiments.models import Run
from tests.experiments.conftest import MakeVersion
from tests.experiments.test_scripts import PAGE, SOURCE, Send, allowed, send
from tests.support.people import People

__all__ = ["allowed", "send"]
pytestmark = pytest.mark.django_db


def test_the_page_says_who_can_allow_scripts(people: People) -> None:
    page = people.client("contributor").get(PAGE).content.decode()
    assert "Own scripts are switched off" in page
    assert "A maintainer or an owner" in page
    assert "Open the settings" in people.client("maintainer").get(PAGE).content.decode()


def test_the_page_offers_a_working_example_and_says_how_far_a_script_is_shut_in(
    people: People, allowed: None, make_version: MakeVersion
) -> None:
    make_version()
    page = people.client("contributor").get(PAGE).content.decode()
    assert "mlflow.log_metric" in page
    assert "How far a script is shut in" in page
    assert "<option selected>churn@1</option>" in page
    assert 'value="target"' in page


def entered(**more: Any) -> dict[str, Any]:
    return {
        "source": "import os\r\nprint(os.getcwd())\r\n",
        "entry_point": "train.py",
        "minutes": "5",
        "experiment": "Default",
        "param_name": ["rate", "fast", "", "code"],
        "param_value": ["0.10", "true", "", "007"],
        "channel_name": ["train", ""],
        "channel_dataset": ["churn@1", ""],
        "channel_format": ["csv", "parquet"],
        **more,
    }


def test_the_page_starts_what_was_pasted(people: People, allowed: None, make_version: MakeVersion) -> None:
    make_version()
    answer = people.client("contributor").post(PAGE, entered())
    assert answer.status_code == 302, answer.content.decode()
    run = Run.objects.get()
    assert run.parameters == {"rate": "0.10", "fast": True, "code": "007"}
    assert [(i.channel, i.format) for i in run.inputs.all()] == [("train", "csv")]
    assert run.job is not None
    assert run.job.timeout_seconds == 300
    code = people.client("viewer").get(f"/p/shop/experiments/runs/{run.hex}/code/download")
    assert code.content == b"import os\nprint(os.getcwd())\n"
    tab = people.client("viewer").get(f"/p/shop/experiments/runs/{run.hex}/code").content.decode()
    assert '<span class="py-k">import</span> os' in tab
    assert "Download the script" in tab


def test_a_chosen_file_wins_over_the_pasted_code(
    people: People, allowed: None, make_version: MakeVersion
) -> None:
    make_version()
    upload = SimpleUploadedFile("fit.py", b"print(1)\n")
    assert people.client("contributor").post(PAGE, entered(code=upload)).status_code == 302
    assert Run.objects.get().code_name == "fit.py"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": "def f(:"}, "line 1, column 7"),
        ({"source": ""}, "The script is empty."),
        ({"minutes": "soon"}, "The time limit is a number of minutes"),
        ({"minutes": "0"}, "The time limit is a number of minutes"),
        ({"entry_point": "a b.py"}, "The entry point is the name of the file"),
        ({"param_name": ["a b", "x", "", "y"]}, "The name of a parameter has"),
        ({"param_name": ["", "x", "", "y"]}, "This parameter needs a name."),
        ({"param_name": ["rate", "rate", "", "y"]}, "There are two parameters &#x27;rate&#x27;."),
        ({"channel_name": ["../x", ""]}, "The name of a channel has"),
        ({"channel_dataset": ["", ""]}, "Choose a dataset version, or leave"),
        ({"channel_dataset": ["gone@1", ""]}, "There is no dataset &#x27;gone&#x27;"),
        ({"experiment": "a\x00b"}, "NUL"),
    ],
)
def test_what_is_wrong_comes_back_with_everything_entered(
    people: People, allowed: None, make_version: MakeVersion, change: dict[str, Any], says: str
) -> None:
    make_version()
    answer = people.client("contributor").post(PAGE, entered(**change))
    page = answer.content.decode()
    assert answer.status_code == 422
    assert page.count(says) == 1, page
    assert 'value="007"' in page
    assert not Run.objects.exists()


def test_run_again_fills_everything_in(
    people: People, allowed: None, send: Send, make_version: MakeVersion
) -> None:
    make_version("churn")
    spec = {
        "inputs": {"data": {"dataset": "churn@1", "format": "csv"}},
        "parameters": {"on": True, "n": 3},
        "timeout": 90,
        "retries": 4,
    }
    run = send(SOURCE, spec, name="fit.py").json()
    shown = people.client("contributor").get(f"/p/shop/experiments/runs/{run['id']}/").content.decode()
    again = f"{PAGE}?from={run['id']}"
    assert again in shown
    page = people.client("contributor").get(again).content.decode()
    assert "SM_MODEL_DIR&quot;]" in page
    for value in (
        'value="fit.py"',
        'value="1.5"',
        'value="4"',
        'value="data"',
        'value="true"',
        '<option value="csv" selected>',
    ):
        assert value in page


def test_scripts_stand_beside_algorithms_in_a_comparison(
    people: People, allowed: None, send: Send, start: Callable[..., Run], make_version: MakeVersion
) -> None:
    make_version()
    one, two = send(SOURCE, {"parameters": {"n": 1}}).json(), start()
    page = people.client("viewer").get(f"/p/shop/experiments/compare?run={one['id']}&run={two.hex}")
    assert page.status_code == 200
    assert "train.py" in page.content.decode()
    assert one["code"]["sha256"][:12] in page.content.decode()


def test_a_run_without_a_script_has_no_code_tab(
    people: People, start: Callable[..., Run], make_version: MakeVersion
) -> None:
    make_version()
    run = start()
    assert (
        f"{run.hex}/code"
        not in people.client("viewer").get(f"/p/shop/experiments/runs/{run.hex}/").content.decode()
    )
    page = people.client("viewer").get(f"/p/shop/experiments/runs/{run.hex}/code")
    assert "has no script of its own" in page.content.decode()
