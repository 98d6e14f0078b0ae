"""Python that loads the model of a run from anywhere, for its Model tab."""

from __future__ import annotations

from typing import Any


def load_code(model: dict[str, Any], tracking: str, *, own: bool) -> str:
    """Python that loads the model from anywhere with the stock client."""
    lines = [
        "import mlflow, pandas  # MLFLOW_TRACKING_TOKEN=atl_… in the environment",
        f'mlflow.set_tracking_uri("{tracking}")',
        f'model = mlflow.{"sklearn" if own else "pyfunc"}.load_model("{model["uri"]}")',
    ]
    if example := model.get("example"):
        order = [c["name"] for c in model["signature"]["inputs"]]  # jsonb forgets the order of keys
        record = {name: example[0].get(name) for name in order}
        lines.append(f"model.predict(pandas.DataFrame([{record!r}]))")
    return "\n".join(lines)
