"""Models; importing this package registers them with LAVIS."""

from fashionfae_lavis.models.fashionfae import FashionFAE
from fashionfae_lavis.models.image_tokenizer import ImageTokenizer

__all__ = ["FashionFAE", "ImageTokenizer"]
