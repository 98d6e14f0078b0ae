"""Datasets: named tables of a project, each a row of immutable versions.

A version is a manifest of Parquet parts with schema, per-column statistics and two digests: of the uploaded
bytes and of the content (the same whatever file it came in). Uploads arrive through the gateway and are read
only in the sandbox.

Public modules: models, access (get_usable_version: "name" or "name@2"), actions, queries (version_inputs),
uploads (staged_file). Events: VersionReady, VersionFailed, DatasetTrashed, DatasetRestored.
Job kind: datasets.ingest.
"""
