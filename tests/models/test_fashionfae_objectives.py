"""FashionFAE's training steps: the inputs that the network gives to the losses of objectives/."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_model, tiny_samples
from two_processes import run_in_two_processes

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models import FashionFAE
from fashionfae_lavis.objectives.itc import contrastive_loss


def pooled_tokens(model, samples):
    return model.image_encoder.pool_tokens(model.image_encoder(samples["image"]))


# ITC


def test_two_views_add_a_term_each():
    model, samples = tiny_model().eval(), {**tiny_samples(), "objectives": ["itc"]}
    other = torch.randn(4, 3, 32, 32)
    both = model({**samples, "image_2": other})["loss_itc"]
    single = model(samples)["loss_itc"] + model({**samples, "image": other})["loss_itc"]
    torch.testing.assert_close(both, single)


def test_itc_accuracy_counts_images_whose_own_text_wins():
    model, samples = tiny_model().eval(), {**tiny_samples(), "objectives": ["itc"]}
    image = model.image_embedding(model.image_encoder(samples["image"]))
    text = model.text_embedding(model.tokenize(samples["text_input"]))
    expected = ((image @ text.T).argmax(1) == torch.arange(4)).float().mean()
    assert model(samples)["acc_itc"] == expected


RANK = """
import sys, torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from tiny import tiny_model, tiny_samples

def main():
    rank = dist.get_rank()
    model = DistributedDataParallel(tiny_model().eval(), find_unused_parameters=True)
    samples = tiny_samples(8)
    half = slice(4 * rank, 4 * rank + 4)
    samples = {k: v[half] if k != "mask_seed" else v for k, v in samples.items()}
    loss = model({**samples, "objectives": ["itc"]})["loss_itc"]
    loss.backward()
    losses = [torch.zeros(()) for _ in range(2)]
    dist.all_gather(losses, loss.detach())
    if rank == 0:
        grads = {n: p.grad for n, p in model.module.named_parameters() if p.grad is not None}
        torch.save({"loss": sum(losses) / 2, "grads": grads}, sys.argv[1])

dist.init_process_group("gloo")
main()  # its model holds on to the group, which aborts the process where it outlives the group's end
dist.destroy_process_group()
"""


def test_two_processes_equal_one_of_twice_the_batch(tmp_path):
    out = tmp_path / "out.pt"
    run_in_two_processes(RANK, tmp_path, out)
    two = torch.load(out, weights_only=True)
    model = tiny_model().eval()
    loss = model({**tiny_samples(8), "objectives": ["itc"]})["loss_itc"]
    loss.backward()
    torch.testing.assert_close(two["loss"], loss.detach(), atol=1e-5, rtol=0)
    one = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert {n for n, g in one.items() if g.any()} <= set(two["grads"])
    for name, gradient in one.items():
        if gradient.any():
            torch.testing.assert_close(two["grads"][name], gradient, atol=1e-5, rtol=0, msg=name)


CHUNKS = """
import sys, torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from tiny import tiny_model, tiny_samples
from fashionfae_lavis.objectives import gradient_cache

def gradients(dropout, chunk, stored=False):
    rank = dist.get_rank()
    model = tiny_model().double()
    model.train(dropout)
    model.itc_chunk = chunk
    model = DistributedDataParallel(model, find_unused_parameters=True)
    synchronised = []

    def hook(_, bucket):
        synchronised.append(bucket.index())
        work = dist.all_reduce(bucket.buffer().div_(2), async_op=True).get_future()
        return work.then(lambda future: future.value()[0])

    model.register_comm_hook(None, hook)
    samples = tiny_samples(16)
    samples["image"] = samples["image"].double()
    half = slice(8 * rank, 8 * rank + 8)
    samples = {k: v[half] if k != "mask_seed" else v for k, v in samples.items()}
    torch.manual_seed(rank)
    checkpoint = gradient_cache.checkpoint
    if stored:
        gradient_cache.checkpoint = lambda function, *rows, use_reentrant: function(*rows)
    model({**samples, "objectives": ["itc"]})["loss"].backward()
    gradient_cache.checkpoint = checkpoint
    assert synchronised and len(synchronised) == len(set(synchronised)), synchronised
    return {n: p.grad.clone() for n, p in model.module.named_parameters() if p.grad is not None}

def main():
    out = {}
    for dropout in (False, True):
        out["one batch", dropout] = gradients(dropout, None)
        out["cached", dropout] = gradients(dropout, 3)
        out["stored", dropout] = gradients(dropout, 3, stored=True)
    if dist.get_rank() == 0:
        torch.save(out, sys.argv[1])

dist.init_process_group("gloo")
main()
dist.destroy_process_group()
"""


def test_gradient_caching_in_two_processes(tmp_path):
    """Each synchronises once; the gradients are those of one batch and, with dropout, of chunks kept in memory."""
    out = tmp_path / "out.pt"
    run_in_two_processes(CHUNKS, tmp_path, out)
    found = torch.load(out, weights_only=True)
    model, samples = tiny_model().double().eval(), tiny_samples(16)
    model({**samples, "image": samples["image"].double(), "objectives": ["itc"]})["loss"].backward()
    alone = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    total = torch.stack([gradient.norm() for gradient in alone.values()]).norm()
    for name, gradient in alone.items():
        tolerance = 1e-5 * max(gradient.norm(), 1e-3 * total)
        assert (found["cached", False][name] - gradient).norm() <= tolerance, name
        assert (found["cached", False][name] - found["one batch", False][name]).norm() <= tolerance, name
        assert (found["cached", True][name] - found["stored", True][name]).norm() <= tolerance, name
    assert any((found["cached", True][name] - alone[name]).norm() > 1e-3 * total for name in alone)


# ITM


def test_a_batch_of_one_product_is_all_matches():
    model = tiny_model().eval()
    samples = {**tiny_samples(), "product_id": torch.full((4,), 4), "objectives": ["itm"]}
    model.itm_head.weight.data.zero_()
    model.itm_head.bias.data = torch.tensor([-3.0, 3.0])  # always says: match
    assert model(samples)["acc_itm"] == 1.0
    same_text = {**samples, "product_id": torch.arange(4), "text_input": [samples["text_input"][0]] * 4}
    assert model(same_text)["acc_itm"] == 1.0, "an equal text is no negative"


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


def test_itm_mines_by_the_embeddings_that_itc_has_computed(monkeypatch):
    model, samples = tiny_model().eval(), tiny_samples()
    alone = {name: model({**samples, "objectives": [name]})["loss"] for name in ("itc", "itm")}
    read, embed = [], model.text_embedding
    monkeypatch.setattr(model, "text_embedding", lambda text: read.append(text) or embed(text))
    both = model({**samples, "objectives": ["itc", "itm"]})
    assert len(read) == 1
    for name, loss in alone.items():
        torch.testing.assert_close(both[f"loss_{name}"], loss)


def test_mining_leaves_dropout_on_and_no_gradient_behind():
    model = tiny_model().train()
    model({**tiny_samples(), "objectives": ["itm"]})["loss"].backward()
    assert model.training
    assert model.scale.grad is None


# MLM and AETP


def masked_batch(model):
    """Clean texts, masked texts, labels at five positions, and pooled tokens."""
    samples = tiny_samples(3)
    text = model.tokenize(samples["text_input"])
    labels = torch.full_like(text.input_ids, -100)
    for row, column in ((0, 6), (0, 7), (1, 5), (2, 20), (2, 25)):
        labels[row, column] = text.input_ids[row, column]
    masked = torch.where(labels >= 0, model.tokenizer.mask_token_id, text.input_ids)
    return text, text._replace(input_ids=masked), labels, pooled_tokens(model, samples)


def test_masked_texts_give_logits_and_the_means_of_both_readings():
    model = tiny_model().eval()
    clean, masked, labels, tokens = masked_batch(model)
    logits, joint, alone = model.read_masked_text(tokens, masked, labels)
    # Reference: logits everywhere, then those at the labelled positions.
    states = model.fusion_encoder.encode_joint(masked, tokens)[:, : labels.shape[1]]
    everywhere = model.mlm_head(states, model.fusion_encoder.embeddings.word_embeddings.weight)
    torch.testing.assert_close(logits, everywhere[labels >= 0])
    mean = torch.stack([states[i, : int(masked.mask[i].sum())].mean(0) for i in range(3)])
    torch.testing.assert_close(joint, model.scaled(mean))
    torch.testing.assert_close(alone, model.text_embedding(clean))


def test_logits_come_in_row_major_order_of_their_positions():
    model = tiny_model().eval()
    _, masked, labels, tokens = masked_batch(model)
    logits, states = model.predict_words(tokens, masked, labels >= 0)
    assert logits.shape == (5, len(model.tokenizer)) and states.shape == (*labels.shape, 32)
    one = model.mlm_head(states[2, 20], model.fusion_encoder.embeddings.word_embeddings.weight)
    torch.testing.assert_close(logits[3], one)


def test_one_text_objective_alone_reports_and_masks_its_own_part():
    model = tiny_model().eval()
    for mine, other in (("mlm", "aetp"), ("aetp", "mlm")):
        output = model({**tiny_samples(), "objectives": [mine]})
        assert f"loss_{mine}" in output and f"loss_{other}" not in output and f"acc_{other}" not in output
        total = output[f"loss_{mine}"] + output["loss_text_consistency"]
        torch.testing.assert_close(output["loss"], total)


def test_texts_without_a_label_still_train_the_consistency():
    model, samples = tiny_model(), tiny_samples()
    samples["fields"] = [{}] * 4  # nothing to mask
    output = model({**samples, "objectives": ["mlm", "aetp"]})
    output["loss"].backward()
    assert output["loss"] == output["loss_text_consistency"] and model.mlm_head.bias.grad is not None


# APIR


def patch_case(model):
    samples = tiny_samples(3)
    patch_mask = torch.zeros(3, 16, dtype=torch.bool)
    patch_mask[0, :4] = patch_mask[1, 5:9] = patch_mask[2, 12:] = True
    return pooled_tokens(model, samples), model.tokenize(samples["text_input"]), patch_mask


def test_masked_images_give_code_logits_and_the_means_of_both_readings():
    model = tiny_model().eval()
    tokens, text, patch_mask = patch_case(model)
    logits, clean, reconstructed = model.read_masked_image(tokens, text, patch_mask)
    states, _ = model.reconstruct(tokens, text, patch_mask)
    assert states.shape == (3, 16, 32)
    torch.testing.assert_close(logits, model.apir_head(states)[patch_mask])
    projected = model.fusion_encoder.visual_embeddings.projection(tokens).mean(1)
    torch.testing.assert_close(clean, model.scaled(projected))
    torch.testing.assert_close(reconstructed, model.scaled(states.mean(1)))


def test_the_loss_predicts_the_image_tokenizer_s_codes_of_the_masked_patches(monkeypatch):
    model, samples = tiny_model().eval(), {**tiny_samples(3), "objectives": ["apir"]}
    seen = []

    def recorded(self, image_tokens, text, patch_mask, read=FashionFAE.read_masked_image):
        seen.append((patch_mask, *read(self, image_tokens, text, patch_mask)))
        return seen[-1][1:]

    monkeypatch.setattr(FashionFAE, "read_masked_image", recorded)
    output = model(samples)
    patch_mask, logits, clean, reconstructed = seen[0]
    cross_entropy = F.cross_entropy(logits, model.image_tokenizer.encode(samples["image"])[patch_mask])
    torch.testing.assert_close(output["loss_apir"], cross_entropy)
    torch.testing.assert_close(output["loss"], cross_entropy + contrastive_loss(clean, reconstructed))


def test_masked_tokens_are_hidden_but_cls_and_text_reach_the_promoted_token():
    model = tiny_model().eval()
    tokens, text, patch_mask = patch_case(model)
    states, promoted = model.reconstruct(tokens, text, patch_mask)
    hidden = tokens.clone()
    hidden[:, 1:][patch_mask] = 7.0
    torch.testing.assert_close(model.reconstruct(hidden, text, patch_mask)[0], states)
    other_cls = tokens.clone()
    other_cls[:, 0] += 1.0
    assert not torch.allclose(model.reconstruct(other_cls, text, patch_mask)[1], promoted)
    other_text = text.rows(torch.tensor([1, 2, 0]))
    assert not torch.allclose(model.reconstruct(tokens, other_text, patch_mask)[1], promoted)


def test_codes_are_computed_without_gradient_and_any_batch_size_works():
    model = tiny_model().train()
    for size in (1, 3, 5):
        output = model({**tiny_samples(size), "objectives": ["apir"]})
        assert output["loss"].isfinite()
    output["loss"].backward()
    assert all(p.grad is None for p in model.image_tokenizer.parameters())


def test_as_many_patches_are_masked_as_the_configuration_says(monkeypatch):
    masked = []

    def recorded(self, image_tokens, text, patch_mask, reconstruct=FashionFAE.reconstruct):
        masked.append(patch_mask.sum(1).tolist())
        return reconstruct(self, image_tokens, text, patch_mask)

    monkeypatch.setattr(FashionFAE, "reconstruct", recorded)
    for model in (tiny_model(), tiny_model(apir__masked_patches=5)):
        model({**tiny_samples(3), "objectives": ["apir"]})
    assert masked == [[8] * 3, [5] * 3]
    for patches in (0, 17):
        with pytest.raises(UserError, match=rf"masked_patches` is {patches}, but must be from 1 to 16"):
            tiny_model(apir__masked_patches=patches)


def test_the_promoted_token_starts_at_its_scale():
    model = tiny_model(apir__token_scale=0.1).eval()
    _, promoted = model.reconstruct(*patch_case(model))
    torch.testing.assert_close(promoted.std(1, unbiased=False), torch.full((3,), 0.1), rtol=1e-3, atol=0)
