"""Jobs: all long work of the studio, as rows that are the truth.

Purpose: accept work (`actions.submit`), run it exactly once to completion although it may be started more
than once (`supervisor`, `attempts`, `reaper`), show it (pages, REST) and stop it (`actions.request_cancel`).
Public modules: actions, handlers, queries, access, events, chores, tokens, models, states.
Events: `events.JobMoved`, published on commit in the process that moved the job.
Celery is only a doorbell: see docs/jobs.md.
"""
