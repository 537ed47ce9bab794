"""Dataset builders and datasets, organised as in LAVIS, and the protocols that tasks rely on."""
