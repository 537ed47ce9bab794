"""The place of `read_photograph` in version 0.1, for datasets that were written for it."""

from fashionfae_lavis.photographs import read_photograph

__all__ = ["read_photograph"]
