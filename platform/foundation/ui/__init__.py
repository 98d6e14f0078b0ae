"""The look of Atelier, without a word about any domain.

Template tags (``{% load ui %}``), icons, states with their colour, values as a person reads them (times,
sizes, numbers), form rendering, list pages whose sort, filter and page live in the URL, the chart tag and the
finder that serves plotly.min.js out of the installed plotly package. The contract is docs/ui.md; every
component in every state is shown at /patterns.
"""
