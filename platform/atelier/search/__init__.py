"""The search over everything one may see: a page, the dialog behind `/`, and GET /api/v1/search.

Apps say what they have in their search.py (foundation.search.Source); pages and actions are known here.
Public: finding.search (what both the pages and the API ask), urls, api.
"""
