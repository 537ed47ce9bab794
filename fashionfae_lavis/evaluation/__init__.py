"""Evaluations: each `evaluate_...` function measures a model on one split and returns a typed result."""
