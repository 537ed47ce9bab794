"""Comparison of systems: `fashionfae compare` runs the jobs of a plan, or reads finished runs."""
