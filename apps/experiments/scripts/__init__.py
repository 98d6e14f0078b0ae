"""Own scripts: one Python file as an MLflow run, under the training contract of docs/scripts.md.

checking (is it a script?), spec (what a request asks for), actions (start), handler (the job), page, views.
"""
