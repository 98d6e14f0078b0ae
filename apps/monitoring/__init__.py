"""Monitoring: how far live data has drifted from a baseline, what that does to the predictions, and alerts.

Public modules: `windows` (aligned time windows), `actions`, `queries`, `access`, `charts`; `sandbox` holds the
mathematics and the program that runs in the isolated child.
"""
