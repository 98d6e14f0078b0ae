"""Engines behind small Protocols: the only packages that import mlflow, optuna, bentoml or boto3.

Each has the Protocol, the real one, a fake twin, and one contract test suite that runs on both.
"""
