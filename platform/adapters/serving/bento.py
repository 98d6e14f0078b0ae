"""Builds a Bento from an MLflow model folder. Loads the model, so it runs only in a sandbox child."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from adapters.serving.bundle import read_columns, read_example
from foundation.tasks import UserError

SERVICE = Path(__file__).with_name("service.py")


def build(model: Path, out: Path, *, work: Path, version: str, labels: dict[str, str]) -> dict[str, Any]:
    """Make the Bento of an MLflow model folder.

    model: folder with the MLmodel file; out: folder to create, gets the Bento's own layout (bento.yaml,
    src/…); work: scratch folder, left clean; version: the Bento's version tag; labels: kept in bento.yaml. Returns the bundle: {"columns",
    "tensor", "task", "classes", "golden": {"rows", "answer"}, "tag"}. Raises UserError when the model
    cannot be loaded or cannot predict its own example.
    """
    import yaml

    home = work / "bentoml-home"
    os.environ.update(quiet_environment(home))
    context = work / "bento-context"
    context.mkdir(parents=True)
    shutil.copytree(model, context / "model", symlinks=True)
    shutil.copyfile(SERVICE, context / "service.py")
    mlmodel = yaml.safe_load((model / "MLmodel").read_text())
    columns, tensor = read_columns(mlmodel)
    rows = read_example(model, mlmodel, columns)
    bundle: dict[str, Any] = {
        "columns": columns,
        "tensor": tensor,
        "task": "regression",
        "classes": [],
        "golden": {"rows": rows, "answer": {}},
    }
    _write(context, bundle)
    _try_out(context, bundle)
    _write(context, bundle)
    bundle["tag"] = _package(context, out, version=version, labels=labels)
    shutil.rmtree(context)
    shutil.rmtree(home, ignore_errors=True)
    return bundle


def quiet_environment(home: Path) -> dict[str, str]:
    """Variables that keep BentoML inside `home` and off the network."""
    return {
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        "OTEL_SDK_DISABLED": "true",
    }


def _write(context: Path, bundle: dict[str, Any]) -> None:
    (context / "bundle.json").write_text(json.dumps(bundle))


def _try_out(context: Path, bundle: dict[str, Any]) -> None:
    """Load the model as the service will, learn task and classes, and keep the golden answer."""
    spec = importlib.util.spec_from_file_location("atelier_bento_service", context / "service.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        scorer = module.Scorer(context)
    except Exception as error:
        raise UserError(
            f"The model could not be loaded: {type(error).__name__}: {error}", code="deployments.unloadable"
        ) from error
    classes = getattr(scorer.model, "classes_", None)
    if classes is not None:
        bundle["task"] = "classification"
        bundle["classes"] = classes.tolist() if hasattr(classes, "tolist") else list(classes)
        scorer.has_probabilities = hasattr(scorer.model, "predict_proba")
    try:
        answer = scorer.golden_answer()
    except Exception as error:
        raise UserError(
            f"The model fails on its own input example: {type(error).__name__}: {error}",
            code="deployments.unusable",
        ) from error
    bundle["golden"]["answer"] = answer


def _package(context: Path, out: Path, *, version: str, labels: dict[str, str]) -> str:
    """Run BentoML's own build over the context and copy the result to `out`. Returns the Bento's tag."""
    import bentoml

    before = set(sys.modules)
    bento = bentoml.build(
        "service:AtelierModel",
        name="atelier_model",
        version=version,
        labels=labels,
        build_ctx=str(context),
        include=["service.py", "bundle.json", "model/**"],
        # Locking would ask a package index over the network; the studio serves with its own environment.
        python={"packages": ["scikit-learn", "mlflow", "pandas"], "lock_packages": False},
    )
    for name in set(sys.modules) - before:
        if name == "service":
            del sys.modules[name]
    shutil.copytree(bento.path, out, symlinks=True)
    return str(bento.tag)
