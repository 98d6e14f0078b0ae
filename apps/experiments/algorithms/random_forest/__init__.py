"""Random forest: many decorrelated decision trees that vote."""
