"""Experiments and runs: training on a dataset version, tracked in MLflow, shown, compared and reproduced.

Public modules: models (Experiment, Run), actions (start_run, cancel_run, ...), queries, access, algorithms
(the plug-in registry), metric_catalogue. Events: events.RunFinished, events.RunAdopted.
`sandbox/` runs in the isolated child: it knows neither Django nor the database.
"""
