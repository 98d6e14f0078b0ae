"""What somebody's own training script looks like: nothing but MLflow and scikit-learn.

Run by the tour with MLFLOW_TRACKING_URI and MLFLOW_TRACKING_TOKEN set. Arguments: file.csv target
"""

import sys

import mlflow
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split


def main(path: str, target: str) -> None:
    """Train on the file and log parameters, a curve and the result."""
    frame = pd.read_csv(path)
    features = frame.drop(columns=target) / 16
    train, test, train_target, test_target = train_test_split(features, frame[target], random_state=0)
    mlflow.set_experiment("digits")
    with mlflow.start_run(run_name="my-own-script"):
        mlflow.log_params({"model": "logistic regression", "C": 0.5, "rows": len(train)})
        for step, iterations in enumerate((2, 5, 10, 20, 40)):
            model = LogisticRegression(C=0.5, max_iter=iterations).fit(train, train_target)
            mlflow.log_metric("accuracy", float(model.score(test, test_target)), step=step)
        mlflow.set_tag("made_by", "the stock MLflow client")


if __name__ == "__main__":
    main(*sys.argv[1:3])
