"""Deployments: a model version behind an address, its revisions, its recorded inferences, labels and imports.

Public modules: actions (writes), queries (reads, `gateway_route`, `inference_window`), access, segments (the
spool becomes Parquet), serving (the process that keeps the models running). Events published:
DeploymentCreated, RevisionReady, InferencesImported.
"""
