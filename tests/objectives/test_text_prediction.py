import math

import torch
import torch.nn.functional as F
from tiny import tiny_model, tiny_samples

from fashionfae_lavis.objectives.aetp import aetp_loss
from fashionfae_lavis.objectives.itc import contrastive_loss
from fashionfae_lavis.objectives.mlm import mlm_loss
from fashionfae_lavis.objectives.text_prediction import predict_words, text_prediction_loss
from fashionfae_lavis.text.word_pieces import Text


def test_each_part_is_the_mean_over_its_own_places():
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 3.0]])
    targets, prompt = torch.tensor([0, 1, 1]), torch.tensor([False, True, True])

    def nll(row, target):
        return math.log(sum(math.exp(v) for v in row)) - row[target]

    rows = logits.tolist()
    assert abs(mlm_loss(logits, targets, prompt).item() - nll(rows[0], 0)) < 1e-6
    assert abs(aetp_loss(logits, targets, prompt).item() - (nll(rows[1], 1) + nll(rows[2], 1)) / 2) < 1e-6


def test_no_place_gives_a_zero_that_keeps_the_graph():
    logits = torch.randn(3, 5, requires_grad=True)
    loss = aetp_loss(logits, torch.tensor([0, 1, 2]), torch.zeros(3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0 and logits.grad is not None and not logits.grad.any()


def masked_batch(model):
    samples = tiny_samples(3)
    text = model.tokenize(samples["text_input"])
    labels = torch.full_like(text.input_ids, -100)
    for row, column in ((0, 6), (0, 7), (1, 5), (2, 20), (2, 25)):
        labels[row, column] = text.input_ids[row, column]
    is_prompt = torch.zeros_like(labels, dtype=torch.bool)
    is_prompt[:, 18:] = True
    masked = torch.where(labels >= 0, model.tokenizer.mask_token_id, text.input_ids)
    tokens = model.image_encoder.pool_tokens(model.image_encoder(samples["image"]))
    return text, text._replace(input_ids=masked), labels, is_prompt, tokens


def test_loss_is_cross_entropy_over_all_places_plus_consistency():
    model = tiny_model().eval()
    clean, masked, labels, is_prompt, tokens = masked_batch(model)
    output = text_prediction_loss(model, tokens, masked, labels, is_prompt)
    # Reference: logits everywhere, then one cross-entropy over the labelled places.
    states = model.fusion_encoder.encode_joint(masked, tokens)[:, : labels.shape[1]]
    logits = model.mlm_head(states, model.fusion_encoder.embeddings.word_embeddings.weight)
    cross_entropy = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)
    mean = torch.stack([states[i, : int(masked.mask[i].sum())].mean(0) for i in range(3)])
    consistency = contrastive_loss(model.scaled(mean), model.text_embedding(clean))
    torch.testing.assert_close(output["loss_text_consistency"], consistency)
    torch.testing.assert_close(output["loss"], cross_entropy + consistency)
    torch.testing.assert_close(3 / 5 * output["loss_mlm"] + 2 / 5 * output["loss_aetp"], cross_entropy)


def test_logits_stand_at_the_wanted_places_in_row_major_order():
    model = tiny_model().eval()
    _, masked, labels, _, tokens = masked_batch(model)
    logits, states = predict_words(model, tokens, masked, labels >= 0)
    assert logits.shape == (5, len(model.tokenizer))
    one = model.mlm_head(states[2, 20], model.fusion_encoder.embeddings.word_embeddings.weight)
    torch.testing.assert_close(logits[3], one)


def test_one_objective_alone_reports_and_masks_its_own_part():
    model = tiny_model().eval()
    for mine, other in (("mlm", "aetp"), ("aetp", "mlm")):
        output = model({**tiny_samples(), "objectives": [mine]})
        assert f"loss_{mine}" in output and f"loss_{other}" not in output and f"acc_{other}" not in output
        total = output[f"loss_{mine}"] + output["loss_text_consistency"]
        torch.testing.assert_close(output["loss"], total)


def test_no_labelled_place_at_all_still_trains_the_consistency():
    model = tiny_model()
    text = model.tokenize(["the image description is a shirt"] * 2)
    labels = torch.full_like(text.input_ids, -100)
    tokens = model.image_encoder.pool_tokens(model.image_encoder(torch.randn(2, 3, 32, 32)))
    output = text_prediction_loss(model, tokens, Text(*text[:2]), labels, labels.bool() & False)
    output["loss"].backward()
    assert output["loss"] == output["loss_text_consistency"] and model.mlm_head.bias.grad is not None
