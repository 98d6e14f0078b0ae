"""Models, their versions and aliases, and promotions.

MLflow's registry tables hold the versions and aliases that stock clients see; here is what MLflow does not
know: where a version came from, its signature, its metrics, who moved an alias and why. `staging` and
`production` move only through a promotion: checks in the sandbox and, for production, an approval.

Public modules: models, states, actions (models, versions), promoting (promotions), adoption (what stock
clients do), queries, access. Events: events.AliasMoved.
"""
