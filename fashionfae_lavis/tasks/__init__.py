"""Tasks; importing this package registers them with LAVIS."""

from fashionfae_lavis.tasks.attribute_probe import AttributeProbeTask
from fashionfae_lavis.tasks.captioning import FashionCaptioningTask
from fashionfae_lavis.tasks.composition import FashionCompositionTask
from fashionfae_lavis.tasks.image_tokenizer import ImageTokenizerTask
from fashionfae_lavis.tasks.pretrain import AETPTask, APIRTask, FashionFAEPretrainTask
from fashionfae_lavis.tasks.product_search import ProductSearchTask
from fashionfae_lavis.tasks.recognition import FashionRecognitionTask
from fashionfae_lavis.tasks.retrieval import FashionPretrainTask, FashionRetrievalTask

__all__ = [
    "AETPTask",
    "APIRTask",
    "AttributeProbeTask",
    "FashionCaptioningTask",
    "FashionCompositionTask",
    "FashionFAEPretrainTask",
    "FashionPretrainTask",
    "FashionRecognitionTask",
    "FashionRetrievalTask",
    "ImageTokenizerTask",
    "ProductSearchTask",
]
