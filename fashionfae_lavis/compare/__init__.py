"""Comparison of systems: `fashionfae compare` trains and evaluates what a plan names, or reads finished runs."""
