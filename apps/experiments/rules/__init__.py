"""Rules that watch what a run logs: not a number, no longer improving, overfitting; they warn or stop it.

Run.rules keeps them: {"open": whether they still watch, "rules": [{"rule", "metric", …, "action", "state", "message",
"step", "value", "at"}]}. Public modules: spec (read them), judging (one rule and one history), watching (the chore).
"""
