"""Dataset builders; importing this package registers them with LAVIS."""

from fashionfae_lavis.datasets.builders.catalogue import (
    CatalogueBuilder,
    CatalogueRecognitionBuilder,
    CatalogueRetrievalBuilder,
)
from fashionfae_lavis.datasets.builders.fashiongen import FashionGenBuilder, FashionGenMiniBuilder
from fashionfae_lavis.datasets.builders.fashioniq import FashionIQBuilder, FashionIQMiniBuilder
from fashionfae_lavis.datasets.builders.fashionvil import (
    FashionViLFACADBuilder,
    FashionViLFashion200kBuilder,
    FashionViLFashionGenBuilder,
    FashionViLPolyvoreBuilder,
)

__all__ = [
    "CatalogueBuilder",
    "CatalogueRecognitionBuilder",
    "CatalogueRetrievalBuilder",
    "FashionGenBuilder",
    "FashionGenMiniBuilder",
    "FashionIQBuilder",
    "FashionIQMiniBuilder",
    "FashionViLFACADBuilder",
    "FashionViLFashion200kBuilder",
    "FashionViLFashionGenBuilder",
    "FashionViLPolyvoreBuilder",
]
