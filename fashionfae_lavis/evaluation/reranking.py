"""Re-ranking: the ITM head scores the first k candidates of each query, text and image together."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from fashionfae_lavis.datasets.loaders import share_of_loader
from fashionfae_lavis.distributed import gather_objects, own_share
from fashionfae_lavis.metrics.retrieval import reranked, top_candidates
from fashionfae_lavis.models.adapters import Adapter
from fashionfae_lavis.text.word_pieces import Text

PAIRS = 256  # pairs in one pass through the fusion encoder

# Arrays of the two sides of a retrieval: (images, texts).
Floats = tuple[NDArray[np.float32], NDArray[np.float32]]
Ints = tuple[NDArray[np.int64], NDArray[np.int64]]


def rerank(
    adapter: Adapter,
    data_loader: DataLoader[Any],
    texts: list[str],
    embeds: Floats,
    products: Ints,
    ranks: Ints,
    k: int,
) -> Ints:
    """Reorders each query's first k candidates by the ITM head and returns the new ranks of the full test.

    Args:
        adapter: adapter of a model with `matches`.
        data_loader: the images, in the order of their embeddings.
        texts: the M texts.
        embeds: global embeddings of the images (N, D) and of the texts (M, D).
        products: product of each image (N,) and of each text (M,).
        ranks: the results of `full_ranks`.
        k: number of candidates to reorder.

    Returns:
        Ranks of the images' texts (N,) and of the texts' images (M,).
    """
    best_texts, best_images = top_candidates(embeds[0], embeds[1], k), top_candidates(embeds[1], embeds[0], k)
    # A pair that both directions need is scored once.
    asked_by_images = np.arange(len(best_texts))[:, None] * len(texts) + best_texts
    asked_by_texts = best_images * len(texts) + np.arange(len(texts))[:, None]
    asked = np.union1d(asked_by_images, asked_by_texts)
    scores = match_scores(adapter, data_loader, texts, *np.divmod(asked, len(texts)), embeds)
    image_product, text_product = products

    def reordered(before: NDArray[np.int64], right: NDArray[np.bool_], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        return reranked(before, right, scores[np.searchsorted(asked, pairs)])

    return (
        reordered(ranks[0], text_product[best_texts] == image_product[:, None], asked_by_images),
        reordered(ranks[1], image_product[best_images] == text_product[:, None], asked_by_texts),
    )


@torch.no_grad()
def match_scores(
    adapter: Adapter,
    data_loader: DataLoader[Any],
    texts: list[str],
    image_row: NDArray[np.int64],
    text_row: NDArray[np.int64],
    embeds: Floats,
) -> NDArray[np.float32]:
    """Scores P pairs of an image and a text; the processes share the images.

    Each image is encoded once, and its tokens are dropped after its pairs. Memory therefore does not grow with the
    number of images (the tokens of all FashionGen images would take 5 GB).

    Args:
        adapter, data_loader, texts, embeds: as in `rerank`.
        image_row, text_row: (P,) rows of each pair; `image_row` ascends.

    Returns:
        Scores (P,).
    """
    text = adapter.tokenize(texts)
    lengths = text.mask.sum(1).cpu().numpy()
    dataset: Any = data_loader.dataset
    rows = own_share(range(len(dataset)))
    scores = np.empty(len(image_row), dtype=np.float32)
    scored = []
    for samples in share_of_loader(data_loader):
        size = len(samples["image"])
        batch, rows = np.array(rows[:size]), rows[size:]
        tokens = adapter.image_tokens(samples["image"])
        first, last = (np.searchsorted(image_row, batch, side) for side in ("left", "right"))
        pairs = np.concatenate([np.arange(*ends) for ends in zip(first, last, strict=True)])
        image = np.repeat(np.arange(len(batch)), last - first)
        # Batch texts of similar length to avoid padding.
        order = np.argsort(lengths[text_row[pairs]], kind="stable")
        for start in range(0, len(order), PAIRS):
            some = order[start : start + PAIRS]
            chosen = pairs[some]
            index = torch.from_numpy(text_row[chosen]).to(adapter.device)
            longest = lengths[text_row[chosen]].max()
            unpadded = Text(text.input_ids[index, :longest], text.mask[index, :longest])
            similarity = (embeds[0][image_row[chosen]] * embeds[1][text_row[chosen]]).sum(1)
            seen = tokens[torch.from_numpy(image[some]).to(adapter.device)]
            found = adapter.match_scores(seen, unpadded, torch.from_numpy(similarity).to(adapter.device))
            scores[chosen] = found.cpu().numpy()
        scored.append(pairs)
    own = np.concatenate(scored) if scored else np.zeros(0, dtype=np.int64)
    for pairs, values in gather_objects((own, scores[own])):
        scores[pairs] = values
    return scores
