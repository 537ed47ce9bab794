"""Comparison of systems: `fashionfae compare` runs the trainings and evaluations of a plan, or reads finished runs."""
