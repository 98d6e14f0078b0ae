"""MLflow's REST API for stock clients, at /p/<project>/mlflow.

Every request is authenticated, its project resolved, its route looked up in a list that denies by default,
and only then passed to the private MLflow server with the project's own workspace. Public: `MlflowProxy`.
"""

from __future__ import annotations

from gateway.mlflow.proxy import MlflowProxy

__all__ = ["MlflowProxy"]
