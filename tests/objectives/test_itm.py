import numpy as np
import torch
import torch.nn.functional as F
from tiny import tiny_model, tiny_samples

from fashionfae_lavis.objectives.itm import hardest_text


def test_the_hardest_text_is_the_most_similar_of_another_product():
    similarity = torch.tensor([[9.0, 8.0, 1.0, 2.0], [7.0, 9.0, 3.0, 2.0], [1.0, 2.0, 9.0, 3.0], [4.0, 3.0, 2.0, 9.0]])
    index, found = hardest_text(similarity, torch.tensor([5, 5, 6, 7]))
    # Rows 0 and 1 are one product: neither is the other's negative although most similar.
    assert index.tolist() == [3, 2, 3, 0] and found.all()


def test_a_batch_of_one_product_has_no_negative():
    _, found = hardest_text(torch.rand(3, 3), torch.tensor([4, 4, 4]))
    assert not found.any()
    model = tiny_model().eval()
    samples = {**tiny_samples(), "product_id": torch.full((4,), 4), "objectives": ["itm"]}
    model.itm_head.weight.data.zero_()
    model.itm_head.bias.data = torch.tensor([-3.0, 3.0])  # always says: match
    assert model(samples)["acc_itm"] == 1.0


def test_replaced_pairs_are_labelled_no_match():
    model, samples = tiny_model().eval(), {**tiny_samples(), "objectives": ["itm"]}
    output = model(samples)
    image_tokens = model.image_encoder(samples["image"])
    text = model.tokenize(samples["text_input"])
    similarity = model.image_embedding(image_tokens) @ model.text_embedding(text).T
    replaced = np.random.default_rng((0,)).random(4) < 0.5
    assert 0 < replaced.sum() < 4
    total = 0.0
    for i in range(4):
        others = [j for j in range(4) if j != i]
        row = max(others, key=lambda j: similarity[i, j].item()) if replaced[i] else i  # noqa: B023
        pooled = model.image_encoder.pool_tokens(image_tokens[i : i + 1])
        joint = model.fusion_encoder.encode_joint(text.rows(torch.tensor([row])), pooled)
        logits = model.itm_head(model.fusion_encoder.pooler(joint))
        total += F.cross_entropy(logits, torch.tensor([0 if replaced[i] else 1]))
    torch.testing.assert_close(output["loss_itm"], total / 4)


def test_mining_leaves_dropout_on_and_no_gradient_behind():
    model = tiny_model().train()
    model({**tiny_samples(), "objectives": ["itm"]})["loss"].backward()
    assert model.training
    assert model.scale.grad is None
