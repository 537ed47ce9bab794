"""BLIP and ALBEF re-rank as LAVIS does."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from baselines import tiny_baseline
from tiny import tiny_samples
from torch.utils.data import DataLoader, Dataset

from fashionfae_lavis.evaluation.reranking import match_scores, rerank
from fashionfae_lavis.metrics.retrieval import full_ranks
from fashionfae_lavis.models.adapters import adapt

IMAGES, TEXTS, K = 7, 5, 3


class Rows(Dataset):
    """A dataset like LAVIS's retrieval datasets, whose `text` and `image` list both sides."""

    samples = tiny_samples(IMAGES)
    text = [text.split(" [SEP] ")[0] for text in tiny_samples(TEXTS)["text_input"]]  # LAVIS cuts at 35 pieces
    image = list(range(IMAGES))

    def __len__(self):
        return IMAGES

    def __getitem__(self, row):
        return {"image": self.samples["image"][row]}


@pytest.fixture(params=["fashion_blip_retrieval", "fashion_albef_retrieval"])
def model(request):
    model = tiny_baseline(request.param).eval()
    model.itm_head.weight.data *= 50  # judges pairs differently, which a fresh one hardly does
    return model


def embeddings(model):
    adapter = adapt(model)
    return adapter.embed_images(Rows.samples["image"]).numpy(), adapter.embed_texts(Rows.text).numpy()


def test_ranks_are_those_of_lavis_s_score_matrices(model):
    loader = DataLoader(Rows(), 3)
    with torch.no_grad():
        i2t, t2i = model.compute_sim_matrix(loader, SimpleNamespace(k_test=K))
    embeds, products = embeddings(model), (np.arange(IMAGES) % TEXTS, np.arange(TEXTS))
    ranks = rerank(adapt(model), loader, Rows.text, embeds, K).ranks(products, full_ranks(*embeds, *products))
    for after, scores, own, others in ((ranks[0], i2t, *products), (ranks[1], t2i, *reversed(products))):
        for query, row in enumerate(scores):
            judged = np.flatnonzero(row > -100)
            assert len(judged) == K
            order = judged[np.argsort(-row[judged])]
            right = np.flatnonzero(others[order] == own[query])
            if len(right):
                assert after[query] == 1 + right[0]
            else:
                assert after[query] > K


def test_scores_are_lavis_s(model):
    loader = DataLoader(Rows(), 3)
    with torch.no_grad():
        expected, _ = model.compute_sim_matrix(loader, SimpleNamespace(k_test=TEXTS))
    rows, columns = np.divmod(np.arange(IMAGES * TEXTS), TEXTS)
    scores = match_scores(adapt(model), loader, Rows.text, rows, columns, embeddings(model))
    assert np.ptp(scores) > 0.1
    np.testing.assert_allclose(scores.reshape(IMAGES, TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize("arch", ["fashion_blip", "fashion_albef"])
def test_pre_training_s_models_match_as_those_of_retrieval(arch, tmp_path):
    pretrained = tiny_baseline(arch).eval()
    retrieval = tiny_baseline(f"{arch}_retrieval").eval()
    state = {name.replace(".bert.", "."): tensor for name, tensor in pretrained.state_dict().items()}
    retrieval.load_state_dict(state, strict=False)
    rows = np.arange(TEXTS)
    pairs = (DataLoader(Rows(), 3), Rows.text, rows, rows, (np.zeros((IMAGES, 1)), np.zeros((TEXTS, 1))))
    scores = [match_scores(adapt(model), *pairs) for model in (pretrained, retrieval)]
    np.testing.assert_allclose(*scores, atol=1e-6)
