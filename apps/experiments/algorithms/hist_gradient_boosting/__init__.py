"""Histogram gradient boosting: trees that correct one another, on binned features."""
