"""Comparison of the models with numbers computed by the authors' implementation."""
