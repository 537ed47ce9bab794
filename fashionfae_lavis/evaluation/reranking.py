"""Re-ranking: the ITM head scores the first k candidates of each query, text and image together."""

from typing import Any, NamedTuple

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


class Reranking(NamedTuple):
    """The first k candidates of every query, scored by the ITM head.

    Attributes:
        texts: (N, k), the candidates of each image.
        images: (M, k), the candidates of each text.
        text_scores: (N, k), the scores of `texts`.
        image_scores: (M, k), the scores of `images`.
    """

    texts: NDArray[np.int64]
    images: NDArray[np.int64]
    text_scores: NDArray[np.float32]
    image_scores: NDArray[np.float32]

    def ranks(self, products: Ints, before: Ints) -> Ints:
        """Computes the new ranks of the full test.

        Args:
            products: product (or group of equal texts) of each image (N,) and of each text (M,). A candidate is right
                if its number equals the query's.
            before: ranks without re-ranking, by the same rule, such as the results of `full_ranks`.

        Returns:
            Ranks of the images' texts (N,) and of the texts' images (M,).
        """
        of_image, of_text = products
        return (
            reranked(before[0], of_text[self.texts] == of_image[:, None], self.text_scores),
            reranked(before[1], of_image[self.images] == of_text[:, None], self.image_scores),
        )


def rerank(adapter: Adapter, data_loader: DataLoader[Any], texts: list[str], embeds: Floats, k: int) -> Reranking:
    """Scores each query's first k candidates by the ITM head.

    Args:
        adapter: adapter of a model with `matches`.
        data_loader: the images, in the order of their embeddings.
        texts: the M texts.
        embeds: global embeddings of the images (N, D) and of the texts (M, D).
        k: number of candidates to score.
    """
    best_texts, best_images = top_candidates(embeds[0], embeds[1], k), top_candidates(embeds[1], embeds[0], k)
    # A pair that both directions need is scored once.
    asked_by_images = np.arange(len(best_texts))[:, None] * len(texts) + best_texts
    asked_by_texts = best_images * len(texts) + np.arange(len(texts))[:, None]
    asked = np.union1d(asked_by_images, asked_by_texts)
    scores = match_scores(adapter, data_loader, texts, *np.divmod(asked, len(texts)), embeds)
    by_images, by_texts = (scores[np.searchsorted(asked, pairs)] for pairs in (asked_by_images, asked_by_texts))
    return Reranking(best_texts, best_images, by_images, by_texts)


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

    Each image is encoded once, and its tokens are dropped after its pairs are scored. Memory therefore does not grow
    with the number of images (the tokens of all FashionGen images would take 5 GB).

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
