"""Models; importing this package registers them with LAVIS."""

from fashionfae_lavis.models import baselines
from fashionfae_lavis.models.composition import FashionComposition
from fashionfae_lavis.models.fashionfae import FashionFAE
from fashionfae_lavis.models.image_tokenizer import ImageTokenizer
from fashionfae_lavis.models.recognition import FashionRecognition
from fashionfae_lavis.models.retrieval import FashionRetrieval

__all__ = ["baselines", "FashionComposition", "FashionFAE", "FashionRecognition", "FashionRetrieval", "ImageTokenizer"]
