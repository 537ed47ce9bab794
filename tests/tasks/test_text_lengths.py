"""A run says how many of its texts a model cuts, by the model's own tokenizer."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from authors import tiny_of
from baselines import lavis_model, tiny_baseline
from lavis.models.clip_models.tokenizer import tokenize
from tiny import tiny_fields, tiny_model

from fashionfae_lavis.datasets.datasets.products import ProductDataset
from fashionfae_lavis.models import FashionRecognition
from fashionfae_lavis.models.adapters import adapt
from fashionfae_lavis.processors import FashionTextProcessor
from fashionfae_lavis.tasks.text_lengths import SAMPLE, cut_texts, report_cut_texts

ARCHS = ("fashion_blip", "fashion_blip_caption", "fashion_albef_retrieval", "fashion_clip", "fashionfae")
FIELDS = [tiny_fields(i) for i in range(30)]
TEXTS = [FashionTextProcessor()(fields) for fields in FIELDS] + ["the image description is a red shirt"]


class Products:
    """A `ProductFile` without images."""

    def __init__(self, fields):
        self.path = "shop"
        self.product_ids = self.row_product = torch.arange(len(fields)).numpy()
        self.texts = {name: [each[name] for each in fields] for name in fields[0]}


def model_of(arch, length=40):
    return tiny_model(max_length=length) if arch == "fashionfae" else tiny_baseline(arch, max_txt_len=length)


def pieces_of(model):
    """The tokenizer of transformers in any model."""
    return getattr(model.tokenizer, "tokenizer", model.tokenizer)


@pytest.mark.parametrize("arch", ARCHS)
def test_the_pieces_are_those_of_the_tokenizer(arch):
    model = model_of(arch)
    limit = adapt(model).text_limit
    assert limit.length == 40 and limit.key == ("model.max_length" if arch == "fashionfae" else "model.max_txt_len")
    lengths = [limit.count(text) for text in TEXTS]
    assert lengths == [len(pieces_of(model)(text).input_ids) for text in TEXTS]
    assert len(set(lengths)) > 2


@pytest.mark.parametrize("arch", ["fashionfae", "fashion_albef"])
def test_exactly_the_texts_counted_as_cut_lose_words(arch):
    lengths = sorted(adapt(model_of(arch)).text_limit.count(text) for text in TEXTS)
    longest = lengths[len(lengths) // 2]
    cutting, whole = (adapt(model_of(arch, length)) for length in (longest, 128))
    for text in TEXTS:
        cut = cutting.tokenize([text]).input_ids.tolist() != whole.tokenize([text]).input_ids.tolist()
        assert cut == (cutting.text_limit.count(text) > longest), text
    found = cut_texts(TEXTS, cutting.text_limit)
    expected = sum(length > longest for length in lengths)
    key = cutting.text_limit.key
    assert found.startswith(f"{expected} of 31 training texts ({100 * expected / 31:.1f} %) are longer than {key}, ")
    assert found.endswith(f"the longest has {lengths[-1]}: raise {key} to {lengths[-1]}.")
    assert cut_texts(TEXTS, whole.text_limit) is None
    assert cut_texts(TEXTS, replace(whole.text_limit, length=lengths[-1])) is None


def test_a_vocabulary_that_splinters_the_words_is_named():
    limit = adapt(model_of("fashion_clip")).text_limit
    texts = ["the image description is zyxwvut qponmlkj zqxjkvb wvutsrqp zzzzyyyyxxxx"]
    assert "model.vocabulary to one made of these texts, as this one splits a word into " in cut_texts(texts, limit)


def test_models_that_read_no_text_or_any_have_no_limit():
    assert adapt(tiny_of(FashionRecognition, use_text=False)).text_limit is None
    assert adapt(tiny_of(FashionRecognition)).text_limit is not None
    assert adapt(tiny_baseline("fashion_albef_recognition", use_text=False)).text_limit is None
    assert adapt(torch.nn.Linear(1, 1)).text_limit is None


def test_lavis_s_clip_names_no_key():
    model = lavis_model("clip")
    model.tokenizer = tokenize
    limit = adapt(model).text_limit
    text = "a red shirt with long sleeves"
    assert limit.length == 77 and limit.count(text) == int((tokenize([text]) != 0).sum())
    assert cut_texts([text + " and more" * 40], limit).endswith(": this model cannot read longer ones.")


def test_a_run_warns_once_for_each_dataset_and_draws_nothing(caplog):
    shuffled = FashionTextProcessor(shuffle=True)
    dataset = ProductDataset(Products(FIELDS), None, shuffled)
    datasets = {"a": {"train": dataset, "val": dataset}, "b": {"train": object()}, "c": {"val": dataset}}
    before = np.random.get_state()[1].tolist()
    with caplog.at_level(logging.WARNING):
        report_cut_texts(model_of("fashion_blip", 12), datasets)
        assert dataset.sample_texts(2) == dataset.sample_texts(2)
        report_cut_texts(model_of("fashion_blip", 128), datasets)
    (record,) = caplog.records
    assert record.getMessage().startswith("datasets.a: 30 of 30 training texts (100.0 %) are longer than model.max_txt")
    assert np.random.get_state()[1].tolist() == before


def test_the_sample_is_bounded_and_spread_over_the_split():
    fields = [{**tiny_fields(0), "title": f"number {i}"} for i in range(3 * SAMPLE)]
    dataset = ProductDataset(Products(fields), None, FashionTextProcessor("description"), label="category")
    texts = dataset.sample_texts(SAMPLE)
    assert len(texts) == SAMPLE and "number 0 " in texts[0] and f"number {3 * SAMPLE - 1} " in texts[-1]
    assert len(dataset.sample_texts(10**6)) == len(fields)
