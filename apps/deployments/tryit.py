"""One prediction from a page: the same validation, model process and recording as through the gateway.

The page's form works without JavaScript, so its prediction is made by the view and not by the browser.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django import forms

from adapters.serving import ServerError
from adapters.serving.process import ask
from apps.deployments.models import Deployment
from apps.deployments.queries import gateway_route, signature_of
from apps.deployments.segments import spool_folder
from foundation.errors import Invalid, NotFound, Unavailable
from foundation.ids import uuid7
from gateway.capture import Spool
from gateway.ports import Route
from gateway.predictions import check_ready, rfc3339
from gateway.validation import read_rows

TIMEOUT = 30.0


@dataclass(frozen=True)
class Shown:
    """One class with its probability."""

    label: Any
    probability: float
    chosen: bool


@dataclass(frozen=True)
class Answer:
    """A prediction as the page shows it."""

    prediction: Any
    inference_id: str
    model: str
    milliseconds: float
    request: str
    response: str
    classes: list[Shown] = field(default_factory=list)


def make_form(deployment: Deployment, data: Any = None) -> TryForm | None:
    """The form of the model's columns, filled with a real example. None while no revision has been built."""
    bundle = signature_of(deployment)
    return TryForm(data, bundle=bundle) if bundle else None


class TryForm(forms.Form):
    """One field per column, named c0, c1, … because a column may have any name."""

    def __init__(self, data: Any = None, *, bundle: dict[str, Any]) -> None:
        super().__init__(data)
        self.columns: list[dict[str, Any]] = bundle["columns"]
        rows = bundle.get("golden", {}).get("rows") or [[]]
        for index, column in enumerate(self.columns):
            example = rows[0][index] if index < len(rows[0]) else None
            self.fields[f"c{index}"] = _field_of(column, example)

    def record(self) -> dict[str, Any]:
        """The values of a valid form as a record; an empty optional field is left out."""
        found: dict[str, Any] = {}
        for index, column in enumerate(self.columns):
            value = self.cleaned_data[f"c{index}"]
            if column["type"] == "boolean":
                found[column["name"]] = bool(value)
            elif value not in (None, ""):
                found[column["name"]] = value.isoformat() if column["type"] == "datetime" else value
        return found


def _field_of(column: dict[str, Any], example: Any) -> forms.Field:
    kind, required = column["type"], bool(column["required"])
    shared: dict[str, Any] = {"label": column["name"], "initial": example, "required": required}
    if kind == "boolean":
        return forms.BooleanField(**{**shared, "required": False})
    if kind == "integer":
        return forms.IntegerField(**shared)
    if kind == "number":
        return forms.FloatField(**shared, widget=forms.NumberInput(attrs={"step": "any"}))
    if kind == "datetime":
        widget = forms.DateTimeInput(
            attrs={"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S"
        )
        shared["initial"] = str(example)[:19] if example else None
        return forms.DateTimeField(**shared, widget=widget)
    return forms.CharField(**shared, max_length=10_000, strip=False)


def predict_once(deployment: Deployment, record: dict[str, Any], *, request_id: str) -> Answer:
    """Predict one record and keep the inference. Raises what the gateway would answer with."""
    found = gateway_route(deployment.project_id, deployment.name)
    if found is None:
        raise NotFound("deployment.not_found", f"There is no deployment '{deployment.name}' in this project.")
    route = Route(project_slug=deployment.project.slug, **found)
    check_ready(route)
    rows = read_rows({"records": [record]}, route.signature, limit=1)
    begin = time.perf_counter()
    answer = _ask(route, rows)
    milliseconds = round((time.perf_counter() - begin) * 1000, 3)
    inference = uuid7()
    probabilities = answer.get("probabilities")
    line = {
        "id": str(inference),
        "t": rfc3339(inference.int >> 80),
        "x": rows[0],
        "y": answer["predictions"][0],
        "ms": milliseconds,
        "q": request_id,
        **({"p": probabilities[0]} if probabilities else {}),
    }
    spool = Spool(spool_folder())
    spool(route, [line])
    spool.rotate(everything=True)
    response = {**answer, "inference_ids": [str(inference)], "model": route.model}
    prediction = answer["predictions"][0]
    classes = [
        Shown(label, probability, label == prediction)
        for label, probability in zip(
            route.signature.classes, probabilities[0] if probabilities else (), strict=False
        )
    ]
    return Answer(
        prediction=prediction,
        inference_id=str(inference),
        model=route.model,
        milliseconds=milliseconds,
        request=json.dumps({"records": [record]}, indent=2, ensure_ascii=False),
        response=json.dumps(response, indent=2, ensure_ascii=False),
        classes=sorted(classes, key=lambda shown: -shown.probability)[:10],
    )


def _ask(route: Route, rows: list[list[Any]]) -> dict[str, Any]:
    body = json.dumps({"rows": rows}).encode()
    try:
        status, data = ask(Path(route.socket or ""), "POST", "/predict", body, timeout=TIMEOUT)
        answer = json.loads(data)
    except (ServerError, ValueError) as error:
        raise Unavailable(
            "deployments.down", f"The deployment {route.name} does not answer; it is being restarted."
        ) from error
    if status != 200 or len(answer.get("predictions", ())) != 1:
        raise Invalid(
            "predict.model_failed",
            f"The model {route.model} failed on this record: {answer.get('error', 'no reason given')}",
        )
    return dict(answer)
