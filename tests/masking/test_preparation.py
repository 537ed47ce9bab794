import pickle

import numpy as np
import torch
from tiny import tiny_fields, tiny_model

from fashionfae_lavis.masking.patch_masks import batch_block_masks
from fashionfae_lavis.masking.word_masks import mask_text, pad_masked

FIELDS = [tiny_fields(index) for index in range(5)]
TEXTS = [field["title"] for field in FIELDS]


def test_words_are_masked_before_patches_and_leave_the_generator_to_pairs():
    model, rng = tiny_model(), np.random.default_rng((3, 1))
    words = pad_masked([mask_text(field, model.tokenizer, rng, model.max_length) for field in FIELDS], model.tokenizer)
    patches = batch_block_masks(rng, 5, model.image_encoder.pooled_grid, model.masked_patches)
    prepared = model.preparation(TEXTS, FIELDS, ["itm", "mlm", "aetp", "apir"], (3, 1))
    assert all(torch.equal(*pair) for pair in zip(words, prepared.masked, strict=True))
    assert torch.equal(prepared.patches, torch.from_numpy(patches))
    assert prepared.rng.random() == rng.random()
    text = model.tokenize(TEXTS)
    assert torch.equal(prepared.text.input_ids, text.input_ids) and torch.equal(prepared.text.mask, text.mask)


def test_only_the_objectives_named_are_masked():
    preparation = tiny_model().preparation
    prepared = preparation(TEXTS, [], ["itc", "itm"], 0)
    assert prepared.masked is None and prepared.patches is None
    prepared = preparation(TEXTS, FIELDS, ["aetp"], 0)
    labels, is_prompt = prepared.masked.labels, prepared.masked.is_prompt
    assert (labels[is_prompt] >= 0).any() and not (labels[~is_prompt] >= 0).any() and prepared.patches is None


def test_a_copy_in_another_process_prepares_the_same():
    preparation = tiny_model().preparation
    copy = pickle.loads(pickle.dumps(preparation))
    ours, theirs = (of(TEXTS, FIELDS, ["mlm", "apir"], 7) for of in (preparation, copy))
    assert torch.equal(ours.masked.input_ids, theirs.masked.input_ids) and torch.equal(ours.patches, theirs.patches)
