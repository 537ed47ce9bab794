import numpy as np
from tiny import tiny_model

from fashionfae_lavis.evaluation.embedding import embed_texts
from fashionfae_lavis.models.adapters import adapt


def test_texts_come_back_in_their_order():
    adapter = adapt(tiny_model().eval())
    texts = [
        "the image description is a red shirt with long sleeves",
        "the image description is a coat",
        "blue",
    ]
    together = embed_texts(adapter, texts)
    for row, text in zip(together, texts, strict=True):
        np.testing.assert_allclose(row, embed_texts(adapter, [text])[0], atol=1e-5)
