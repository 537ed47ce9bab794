"""Datasets, organised like LAVIS: builders and datasets, with the protocols that tasks rely on."""
