"""The server of `fashionfae serve`."""

from fashionfae_lavis.search.server.app import create_app
from fashionfae_lavis.search.server.settings import Settings

__all__ = ["Settings", "create_app"]
