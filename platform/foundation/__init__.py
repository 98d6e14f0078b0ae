"""Cross-cutting pieces without a domain word and without tables: errors, ids, clock, states, events, tasks, API shape."""
