"""Logistic regression for classification, ridge or elastic net for regression."""
