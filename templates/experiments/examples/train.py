"""Trains a scikit-learn model on the channel "train" and logs to its own run."""

import argparse
import json
import os

import mlflow
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

# Parameters come as arguments: --learning-rate 0.1
parser = argparse.ArgumentParser()
parser.add_argument("--target", required=True)
parser.add_argument("--learning-rate", type=float, default=0.1)
parser.add_argument("--rounds", type=int, default=100)
args = parser.parse_args()

# A channel is a folder with the rows of a dataset version as Parquet files.
frame = pd.read_parquet(os.environ["SM_CHANNEL_TRAIN"]).dropna(subset=[args.target])
print(f"{len(frame):,} rows, {frame.shape[1]} columns")
features = frame.drop(columns=[args.target]).select_dtypes(exclude=["datetime", "datetimetz"])
train, test, y_train, y_test = train_test_split(features, frame[args.target].astype(str), random_state=0)

encode = make_column_transformer(
    (
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1),
        make_column_selector(dtype_exclude="number"),
    ),
    remainder="passthrough",
)
booster = HistGradientBoostingClassifier(learning_rate=args.learning_rate, max_iter=args.rounds)
model = make_pipeline(encode, booster)
model.fit(train, y_train)

# What is logged with MLflow lands in this run; the model can then be registered and deployed.
mlflow.log_metric("accuracy", model.score(test, y_test))
mlflow.sklearn.log_model(
    model,
    name="model",
    signature=mlflow.models.infer_signature(test, model.predict(test)),
    input_example=test.head(3),
    pip_requirements=["scikit-learn", "pandas"],  # MLflow would take seconds to find them out
    serialization_format="cloudpickle",
)

# Files in this folder become artifacts of the run.
with open(os.path.join(os.environ["SM_OUTPUT_DATA_DIR"], "classes.json"), "w") as file:
    json.dump(list(model.classes_), file)
