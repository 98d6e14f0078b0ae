"""Loads a registered model by MLflow's own client and writes what it predicts for a Parquet file of events.

Run by the tour with MLFLOW_TRACKING_URI and MLFLOW_TRACKING_TOKEN set. Arguments: model-uri events.parquet out.parquet
"""

import sys

import mlflow
import pandas as pd


def main(uri: str, source: str, target: str) -> None:
    """Add the column `prediction` to the events."""
    events = pd.read_parquet(source)
    model = mlflow.pyfunc.load_model(uri)
    names = model.metadata.get_input_schema().input_names()
    events["prediction"] = model.predict(events[names])
    events.to_parquet(target, index=False)


if __name__ == "__main__":
    main(*sys.argv[1:4])
