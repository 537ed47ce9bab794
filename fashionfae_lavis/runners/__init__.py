"""The runner, registered with LAVIS as `fashionfae_runner`, and its learning-rate schedules."""

from fashionfae_lavis.runners.runner import FashionRunner

__all__ = ["FashionRunner"]
