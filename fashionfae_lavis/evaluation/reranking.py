"""Re-ranking by the ITM head: the first k candidates of each query are judged in pairs, text and image together."""

import numpy as np
import torch

from fashionfae_lavis.datasets.loaders import share_of_loader
from fashionfae_lavis.distributed import gather_objects, own_share
from fashionfae_lavis.metrics.retrieval import reranked, top_candidates
from fashionfae_lavis.models.matching import matching_scores, matching_texts, matching_tokens
from fashionfae_lavis.text.word_pieces import Text

PAIRS = 256  # of one pass through the fusion encoder


def rerank(
    model, data_loader, texts: list[str], embeds: tuple, products: tuple, ranks: tuple, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Ranks of the full test after each query's first k candidates were ordered by ITM.

    Args:
        model: one with an ITM head (models/matching.py).
        data_loader: loader of the images, in the order of their embeddings.
        texts: what the text embeddings are of.
        embeds, products, ranks: each for (images, texts): embeddings (N, D) and (M, D), products (N,) and (M,),
            and what `full_ranks` gave.

    Returns:
        Ranks of the images' texts (N,) and of the texts' images (M,).
    """
    best_texts, best_images = top_candidates(*embeds, k), top_candidates(*reversed(embeds), k)
    # A pair that both directions ask for is judged once.
    asked_by_images = np.arange(len(best_texts))[:, None] * len(texts) + best_texts
    asked_by_texts = best_images * len(texts) + np.arange(len(texts))[:, None]
    asked = np.union1d(asked_by_images, asked_by_texts)
    scores = match_scores(model, data_loader, texts, *np.divmod(asked, len(texts)), embeds)
    return tuple(
        reranked(before, others[best] == own[:, None], scores[np.searchsorted(asked, pairs)])
        for before, best, pairs, own, others in (
            (ranks[0], best_texts, asked_by_images, products[0], products[1]),
            (ranks[1], best_images, asked_by_texts, products[1], products[0]),
        )
    )


@torch.no_grad()
def match_scores(
    model, data_loader, texts: list[str], image_row: np.ndarray, text_row: np.ndarray, embeds: tuple
) -> np.ndarray:
    """Scores of a match (P,) of P pairs; `image_row` (P,) ascends. The processes share the images.

    Every image goes through the image encoder once and is forgotten after its pairs, so memory does not grow with
    their number (all images' tokens of FashionGen would be 5 GB).
    """
    text = matching_texts(model, texts)
    lengths = text.mask.sum(1).cpu().numpy()
    rows = own_share(np.arange(len(data_loader.dataset)))
    scores = np.empty(len(image_row), dtype=np.float32)
    judged = []
    for samples in share_of_loader(data_loader):
        batch, rows = np.split(rows, [len(samples["image"])])
        tokens = matching_tokens(model, samples["image"])
        first, last = (np.searchsorted(image_row, batch, side) for side in ("left", "right"))
        pairs = np.concatenate([np.arange(*ends) for ends in zip(first, last, strict=True)])
        image = np.repeat(np.arange(len(batch)), last - first)
        # Texts of similar length share a pass, so that little is padded.
        order = np.argsort(lengths[text_row[pairs]], kind="stable")
        for start in range(0, len(order), PAIRS):
            some = order[start : start + PAIRS]
            index = torch.from_numpy(text_row[pairs[some]]).to(model.device)
            longest = lengths[text_row[pairs[some]]].max()
            unpadded = Text(text.input_ids[index, :longest], text.mask[index, :longest])
            similarity = (embeds[0][image_row[pairs[some]]] * embeds[1][text_row[pairs[some]]]).sum(1)
            seen = tokens[torch.from_numpy(image[some]).to(model.device)]
            found = matching_scores(model, seen, unpadded, torch.from_numpy(similarity).to(model.device))
            scores[pairs[some]] = found.cpu().numpy()
        judged.append(pairs)
    judged = np.concatenate(judged) if judged else np.zeros(0, dtype=np.int64)
    for places, values in gather_objects((judged, scores[judged])):
        scores[places] = values
    return scores
