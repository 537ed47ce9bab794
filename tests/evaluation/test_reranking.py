import numpy as np
import pytest
import torch
from tiny import tiny_model, tiny_samples
from torch.utils.data import DataLoader, Dataset

from fashionfae_lavis.evaluation import reranking
from fashionfae_lavis.evaluation.reranking import match_scores, rerank
from fashionfae_lavis.metrics.retrieval import equal_text_ranks, full_ranks, text_groups
from fashionfae_lavis.models.adapters import adapt

IMAGES, TEXTS = 13, 7


class Images(Dataset):
    images = tiny_samples(IMAGES)["image"]

    def __len__(self):
        return IMAGES

    def __getitem__(self, row):
        return {"image": self.images[row]}


@pytest.fixture(scope="module")
def model():
    """A model whose ITM head gives clearly different scores, unlike a newly initialised head."""
    model = tiny_model().eval()
    model.itm_head.weight.data *= 50
    return model


@pytest.fixture(scope="module")
def texts():
    """Texts of different lengths, not sorted."""
    return tiny_samples(TEXTS)["text_input"][::-1]


@torch.no_grad()
def slow_score(model, image: int, text: str, similarity: float) -> float:
    """Scores a single pair through the model's parts, given the similarity of its global embeddings."""
    tokens = model.image_encoder.pool_tokens(model.image_encoder(Images.images[image : image + 1]))
    joint = model.fusion_encoder.encode_joint(model.tokenize([text]), tokens)
    no, yes = model.itm_head(torch.tanh(model.fusion_encoder.pooler.dense(joint[:, 0])))[0]
    return float(yes - no + model.scale**2 * similarity)


@pytest.mark.parametrize("size", [1, 5, 99])
def test_scores_equal_those_of_each_pair_alone(model, texts, size, monkeypatch):
    monkeypatch.setattr(reranking, "PAIRS", 4)
    images = np.array([0, 0, 0, 0, 0, 0, 3, 3, 4, 12])  # some images have many pairs, others none
    rows = np.array([6, 5, 4, 3, 2, 0, 1, 2, 5, 6])
    embeds = embeddings()
    scores = match_scores(adapt(model), DataLoader(Images(), size), texts, images, rows, embeds)
    expected = [
        slow_score(model, image, texts[row], embeds[0][image] @ embeds[1][row])
        for image, row in zip(images, rows, strict=True)
    ]
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_each_image_is_encoded_once_and_each_pair_judged_once(model, texts, monkeypatch):
    seen = {"images": 0, "pairs": 0}
    encode, judge = model.image_encoder.forward, model.match_logits

    def count_images(images):
        seen["images"] += len(images)
        return encode(images)

    def count_pairs(tokens, text):
        seen["pairs"] += len(tokens)
        return judge(tokens, text)

    monkeypatch.setattr(model.image_encoder, "forward", count_images)
    monkeypatch.setattr(model, "match_logits", count_pairs)
    rerank(adapt(model), DataLoader(Images(), 4), texts, embeddings(), k=TEXTS)
    # The three best of seven texts in one direction are among the pairs of the other.
    assert seen == {"images": IMAGES, "pairs": IMAGES * TEXTS}


def embeddings():
    rng = np.random.default_rng(3)
    return rng.normal(size=(IMAGES, 5)).astype(np.float32), rng.normal(size=(TEXTS, 5)).astype(np.float32)


@pytest.mark.parametrize("k", [1, 3, 7, 50])
def test_reranking_equals_a_plain_computation(model, texts, k):
    images, rows = embeddings()
    products = np.arange(IMAGES) % 5, np.array([0, 1, 2, 3, 4, 0, 9])
    ranks = full_ranks(images, rows, *products)
    i2t, t2i = rerank(adapt(model), DataLoader(Images(), 4), texts, (images, rows), k).ranks(products, ranks)
    match = np.array(
        [[slow_score(model, i, texts[j], images[i] @ rows[j]) for j in range(TEXTS)] for i in range(IMAGES)]
    )
    for after, similarity, judged, own, others in (
        (i2t, images @ rows.T, match, *products),
        (t2i, rows @ images.T, match.T, *reversed(products)),
    ):
        for query in range(len(similarity)):
            order = np.argsort(-similarity[query])
            first = order[:k][np.argsort(-judged[query][order[:k]])]
            order = np.concatenate([first, order[k:]])
            right = np.flatnonzero(others[order] == own[query])
            if not len(right):
                assert after[query] == np.iinfo(np.int64).max  # a text of a product without an image
                continue
            # No right candidate comes before the first: its position is its rank.
            assert after[query] == 1 + right[0]


def test_equal_texts_are_equal_answers_after_re_ranking(model, texts):
    """Two products share a text. Counted by text, a query finds the best of both, scored by the ITM head."""
    images, rows = embeddings()
    texts = [*texts[:-1], texts[0]]
    rows[-1] = rows[0]
    product, group = np.arange(IMAGES) % TEXTS, text_groups(texts)
    before = equal_text_ranks(images, rows, product, group)
    reranking = rerank(adapt(model), DataLoader(Images(), 4), texts, (images, rows), 3)
    i2t, t2i = reranking.ranks((group[product], group), before)
    for ranks, candidates, scores, asked, answers, old in (
        (i2t, reranking.texts, reranking.text_scores, group[product], group, before[0]),
        (t2i, reranking.images, reranking.image_scores, group, group[product], before[1]),
    ):
        for query, rank in enumerate(ranks):
            right = [
                score for i, score in zip(candidates[query], scores[query], strict=True) if answers[i] == asked[query]
            ]
            wrong = [
                score for i, score in zip(candidates[query], scores[query], strict=True) if answers[i] != asked[query]
            ]
            assert rank == (1 + sum(score >= max(right) for score in wrong) if right else old[query])
