"""Data set builders, registered with LAVIS when this package is imported."""

from fashionfae_lavis.datasets.builders.fashiongen import FashionGenBuilder, FashionGenMiniBuilder

__all__ = ["FashionGenBuilder", "FashionGenMiniBuilder"]
