from __future__ import annotations

app_name = "environments"
urlpatterns: list[object] = []
