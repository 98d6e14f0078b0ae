"""The ASGI front of the studio: who is calling, which project, then proxy, route or stage.

Public modules: `ports` (what the gateway needs from the apps, wired by `atelier`), `app` (the ASGI
application), `http` (small ASGI pieces shared by the routes), `predictions` and `capture` (serving),
`mlflow` (the tracking proxy), `uploads` (receiving files). Imports nothing but foundation and adapters.
"""
