"""Training of encoders that know words and shapes, but no attribute by name.

The encoders of `make_mini_encoders` have learned the values of every attribute from labels, which leaves AETP and APIR
little to add. Those of the paper start from general pre-training. These replace it: the text encoder predicts masked
words of texts (BERT, Devlin et al., arXiv 1810.04805), and the image encoder learns to tell two views of an image from
the views of other images (SimCLR, Chen et al., arXiv 2002.05709). The views keep the hue: colour is an attribute.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fashionfae_lavis.masking.word_masks import mask_text, pad_masked
from fashionfae_lavis.metrics.linear_probe import linear_probe_hits
from fashionfae_lavis.mini.encoders.augmentation import crop, erase, jitter
from fashionfae_lavis.mini.encoders.images import Pictures, look_labels
from fashionfae_lavis.mini.encoders.optimise import optimise
from fashionfae_lavis.mini.encoders.photographs import ClassFolders
from fashionfae_lavis.mini.encoders.text import BATCH, Pairs
from fashionfae_lavis.mini.fashiongen.attributes import Product
from fashionfae_lavis.models.fashionfae import FashionFAE
from fashionfae_lavis.models.image_encoder import ImageEncoder
from fashionfae_lavis.objectives.itc import contrastive_loss
from fashionfae_lavis.text.word_pieces import Text

IMAGES = 128  # images of a batch; each has two views
TEMPERATURE = 0.1
WIDTH = 128  # of the embeddings that are contrasted


def train_text_encoder_on_words(model: FashionFAE, products: list[Product], updates: int) -> float:
    """Trains the text encoder to predict masked words of product texts.

    Returns:
        Accuracy (0..1) on texts of the last products, which are held out.
    """
    pairs, test_pairs = Pairs(products[:-BATCH], model.tokenizer), Pairs(products[-BATCH:], model.tokenizer)
    optimise(model, lambda: F.cross_entropy(*masked_words(model, pairs)), updates, "text encoder", lr=1e-3)
    with torch.no_grad():
        predicted = [masked_words(model, test_pairs) for _ in range(8)]
    return torch.cat([(logits.argmax(1) == target).float() for logits, target in predicted]).mean().item()


def masked_words(model: FashionFAE, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Predicts masked words of texts; returns vocabulary logits (P, V) and targets (P,)."""
    masked = [
        mask_text(pairs.fields(product), model.tokenizer, pairs.rng, model.max_length) for product in pairs.draw()
    ]
    input_ids, mask, labels, _ = pad_masked(masked, model.tokenizer)
    labelled = labels >= 0
    states = model.fusion_encoder.encode_text(Text(input_ids, mask))[labelled]
    return model.mlm_head(states, model.fusion_encoder.embeddings.word_embeddings.weight), labels[labelled]


def train_image_encoder_on_views(
    encoder: ImageEncoder, pictures: Pictures, photographs: ClassFolders | None, products: list[Product], updates: int
) -> dict[str, float]:
    """Trains the image encoder to recognise a view of an image by another view of it.

    Args:
        encoder: the encoder.
        pictures: drawn pictures of `products`.
        photographs: more images, if any; their classes are not used.
        products: the drawn products.
        updates: number of updates.

    Returns:
        Accuracy (0..1) of a linear probe of each attribute on the held-out pictures.
    """
    device = next(encoder.parameters()).device
    head = nn.Sequential(
        nn.Linear(encoder.embed_dim, encoder.embed_dim), nn.GELU(), nn.Linear(encoder.embed_dim, WIDTH)
    ).to(device)
    sources = [pictures.pixels[pictures.train_rows].permute(0, 3, 1, 2).to(device)]
    sources += [photographs.pixels.to(device)] if photographs else []
    mean, std = pictures.mean.to(device), pictures.std.to(device)

    def loss_of_batch() -> Tensor:
        drawn = [torch.randint(len(source), (IMAGES // len(sources),), device=device) for source in sources]
        chosen = [source[rows].float() / 255 for source, rows in zip(sources, drawn, strict=True)]
        views = [
            torch.cat([erase((jitter(crop(images, pictures.size)) - mean) / std) for images in chosen])
            for _ in range(2)
        ]
        one, other = (F.normalize(head(encoder(view).mean(1)), dim=-1) / TEMPERATURE**0.5 for view in views)
        return contrastive_loss(one, other)

    optimise(nn.ModuleList([encoder, head]), loss_of_batch, updates, "image encoder", lr=1e-3, weight_decay=0.05)
    values, labels = look_labels(products)
    with torch.no_grad():
        batches = [(encoder(images.to(device)).mean(1).cpu(), labels[rows]) for images, rows in pictures.test_batches()]
    features, wanted = (torch.cat(part).numpy() for part in zip(*batches, strict=True))
    shown = {name: column >= 0 for name, column in zip(values, wanted.T, strict=True)}
    hits = {
        name: linear_probe_hits(features[shown[name]], column[shown[name]].tolist())
        for name, column in zip(values, wanted.T, strict=True)
    }
    return {name: float(found.mean()) for name, found in hits.items()}
