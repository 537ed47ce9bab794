"""Datasets, and the files they read."""
