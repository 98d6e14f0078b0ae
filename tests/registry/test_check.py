"""The programs of the sandbox, on real model folders written by MLflow."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foundation.tasks import Context, UserError

pytestmark = pytest.mark.engine
Save = Callable[..., Path]


def table(rows: int = 60, shift: int = 0) -> Any:
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(3)
    frame = pd.DataFrame({"age": random.integers(18, 80, rows), "balance": random.normal(0, 1, rows)})
    frame["y"] = np.where(frame.age + shift > 50, "yes", "no")
    return frame


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def save(folders: Path) -> Save:
    """save("name", depth=3): a decision tree in an MLflow model folder; made once for each name."""

    def make(
        name: str, *, depth: int = 3, example: bool = True, signed: bool = True, columns: Any = None
    ) -> Path:
        folder = folders / name
        if folder.exists():
            return folder
        import mlflow.sklearn
        from mlflow.models import infer_signature
        from sklearn.tree import DecisionTreeClassifier

        frame = table()
        features = frame[columns or ["age", "balance"]]
        target = frame.y if depth else ["no"] * len(frame)
        model = DecisionTreeClassifier(max_depth=max(depth, 1), random_state=0).fit(features, target)
        mlflow.sklearn.save_model(
            model,
            str(folder),
            serialization_format="cloudpickle",
            signature=infer_signature(features, model.predict(features)) if signed or example else None,
            input_example=features.head(3) if example else None,
            pip_requirements=["scikit-learn"],
            metadata={"task": "classification", "target": "y"},
        )
        if not signed:
            text = (folder / "MLmodel").read_text("utf-8")
            head, _, _ = text.partition("signature:")
            (folder / "MLmodel").write_text(head, "utf-8")
        return folder

    return make


def context(tmp_path: Path, payload: dict[str, Any], inputs: dict[str, Path]) -> Context:
    folder = tmp_path / "work"
    folder.mkdir(exist_ok=True)
    return Context(
        payload=payload, inputs=inputs, folder=folder, outputs=folder, log=logging.getLogger("test.check")
    )


def side(folder: Path, letter: str, inputs: dict[str, Path], **facts: Any) -> dict[str, Any]:
    files = {}
    for number, path in enumerate(sorted(p for p in folder.rglob("*") if p.is_file())):
        files[f"{letter}{number}"] = path.relative_to(folder).as_posix()
        inputs[f"{letter}{number}"] = path
    return {
        "label": f"churn/{letter}",
        "files": files,
        "task": "classification",
        "target": "y",
        "metrics": {},
        "primary_metric": "accuracy",
        "dataset": "churn@1",
        **facts,
    }


def check(
    tmp_path: Path,
    candidate: Path,
    holder: Path | None = None,
    *,
    mine: dict[str, Any] | None = None,
    theirs: dict[str, Any] | None = None,
    same_data: bool = False,
    judged: Path | None = None,
) -> dict[str, tuple[str, str]]:
    from apps.registry.sandbox.check import main

    inputs: dict[str, Path] = {"judged": judged} if judged else {}
    payload = {
        "candidate": side(candidate, "c", inputs, **(mine or {})),
        "holder": side(holder, "h", inputs, **(theirs or {})) if holder else None,
        "alias": "production",
        "same_data": same_data,
    }
    answer = main(context(tmp_path, payload, inputs))
    return {entry["name"]: (entry["state"], entry["message"]) for entry in answer["checks"]}


def test_the_first_version_needs_to_load_and_predict(tmp_path: Path, save: Save) -> None:
    checks = check(tmp_path, save("good"))
    assert [state for state, _ in checks.values()] == ["passed"] * 4
    assert "3 answers" in checks["predicts"][1]


def test_a_broken_file_fails_the_first_check_and_skips_the_others(tmp_path: Path, save: Save) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(save("good"), broken)
    (broken / "model.pkl").write_bytes(b"not a pickle")
    checks = check(tmp_path, broken)
    assert [state for state, _ in checks.values()] == ["failed", "skipped", "skipped", "skipped"]
    assert "cannot be loaded" in checks["loads"][1]


def test_a_model_without_example_or_signature_is_refused(tmp_path: Path, save: Save) -> None:
    checks = check(tmp_path, save("bare", example=False, signed=False))
    assert checks["predicts"][0] == "failed"
    assert "input_example" in checks["predicts"][1]
    assert checks["schema"][0] == "failed"


def test_other_columns_than_the_holders_are_named(tmp_path: Path, save: Save) -> None:
    checks = check(tmp_path, save("narrow", columns=["age"]), save("good"))
    assert checks["schema"][0] == "failed"
    assert "'balance'" in checks["schema"][1]


def test_on_the_same_data_the_logged_metrics_decide(tmp_path: Path, save: Save) -> None:
    good, holder = save("good"), save("other", depth=2)
    for mine, theirs, state in ((0.9, 0.8, "passed"), (0.8, 0.8, "passed"), (0.7, 0.8, "failed")):
        checks = check(
            tmp_path,
            good,
            holder,
            mine={"metrics": {"accuracy": mine}},
            theirs={"metrics": {"accuracy": theirs}},
            same_data=True,
        )
        assert checks["metric"][0] == state
        assert "on churn@1" in checks["metric"][1]


def test_a_smaller_error_is_better(tmp_path: Path, save: Save) -> None:
    checks = check(
        tmp_path,
        save("good"),
        save("other", depth=2),
        mine={"metrics": {"rmse": 2.0}, "primary_metric": "rmse"},
        theirs={"metrics": {"rmse": 1.0}},
        same_data=True,
    )
    assert checks["metric"][0] == "failed"


def test_on_other_data_the_holder_is_judged_anew_on_the_candidates_rows(tmp_path: Path, save: Save) -> None:
    rows = table().assign(__predicted__="no", __probability__=0.5).rename(columns={"y": "__true__"})
    judged = tmp_path / "held_out.parquet"
    rows.to_parquet(judged)
    good, bad = save("good"), save("constant", depth=0)
    assert check(tmp_path, good, bad, judged=judged)["metric"][0] == "passed"
    state, message = check(tmp_path, bad, good, judged=judged)["metric"]
    assert state == "failed"
    assert "60 test rows" in message


def test_what_cannot_be_compared_is_said_and_left_to_whoever_approves(tmp_path: Path, save: Save) -> None:
    state, message = check(tmp_path, save("good"), save("other", depth=2))["metric"]
    assert state == "skipped"
    assert "approves" in message


def test_another_target_never_stands_in(tmp_path: Path, save: Save) -> None:
    checks = check(tmp_path, save("good"), save("other", depth=2), theirs={"target": "z"})
    assert checks["metric"][0] == "failed"


def test_a_model_file_is_described_without_loading_it(tmp_path: Path, save: Save) -> None:
    from apps.registry.sandbox.describe import main

    inputs: dict[str, Path] = {}
    files = side(save("good"), "f", inputs)["files"]
    found = main(context(tmp_path, {"files": files}, inputs))
    assert [(c["name"], c["type"], c["required"]) for c in found["signature"]["inputs"]] == [
        ("age", "long", True),
        ("balance", "double", True),
    ]
    assert len(found["signature"]["outputs"]) == 1
    assert set(found["example"][0]) == {"age", "balance"}
    assert (found["task"], found["target"]) == ("classification", "y")
    assert "python_function" in found["flavors"]


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b"\xff\xfe", b"signature: {inputs: '['}", b"a: !!python/object:x {}"]
)
def test_a_strange_mlmodel_file_is_a_users_mistake(tmp_path: Path, content: bytes) -> None:
    from apps.registry.sandbox.describe import main

    path = tmp_path / "MLmodel"
    path.write_bytes(content)
    with pytest.raises(UserError):
        main(context(tmp_path, {"files": {"f": "MLmodel"}}, {"f": path}))
