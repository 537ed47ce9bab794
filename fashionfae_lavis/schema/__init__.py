"""The settings of a configuration: their types, ranges, defaults and descriptions, and how they fit each other.

`run.py`, `models.py` and `datasets.py` declare the settings. docs/configuration.md is written from them by
`python -m fashionfae_lavis.schema`. `check.py` applies them to a configuration before anything is loaded.
"""
