"""Adapters of FashionFAE, BLIP, ALBEF and CLIP, small and with random weights."""

import shutil
from functools import partial

import pytest
import torch
from authors import tiny_of
from baselines import tiny_baseline
from lavis.models.albef_models.albef_feature_extractor import AlbefFeatureExtractor
from lavis.models.blip_models.blip_feature_extractor import BlipFeatureExtractor
from lavis.models.clip_models.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from lavis.models.clip_models.tokenizer import tokenize
from lavis.models.med import BertForMaskedLM, XBertEncoder
from lavis.models.vit import VisionTransformerEncoder
from tiny import tiny_model, tiny_samples
from torch.utils.data import DataLoader
from toy_products import ToyProducts
from transformers import BertConfig

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.attribute_probe import evaluate_attribute_probe
from fashionfae_lavis.models import FashionComposition, FashionRecognition, FashionRetrieval
from fashionfae_lavis.models.adapters import adapt

TEXTS = ["the image description is a red shirt", "the image season is fall winter 2016"]


def small_vit():
    vit = VisionTransformerEncoder(img_size=32, patch_size=8, embed_dim=32, depth=1, num_heads=2)
    vit.vision_width = 32
    return vit


def small_bert():
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=len(tiny_model().tokenizer), **sizes)
    config.encoder_width, config.fusion_layer = 32, 1
    config.add_cross_attention, config.add_type_embeddings = True, False
    return config


class SmallBlip(BlipFeatureExtractor):
    @classmethod
    def init_tokenizer(cls):
        return tiny_model().tokenizer


class SmallAlbef(AlbefFeatureExtractor):
    @classmethod
    def init_tokenizer(cls):
        return tiny_model().tokenizer


def build(name):
    torch.manual_seed(0)
    if name == "fashionfae":
        model = tiny_model()
    elif name == "blip":
        model = SmallBlip(small_vit(), XBertEncoder(small_bert(), add_pooling_layer=False), embed_dim=16)
    elif name == "albef":
        model = SmallAlbef(small_vit(), BertForMaskedLM(small_bert()), embed_dim=16)
    else:
        vision = CLIPVisionCfg(layers=1, width=64, patch_size=8, image_size=32)
        model = CLIP(16, vision, CLIPTextCfg(context_length=77, vocab_size=49408, width=32, heads=2, layers=1))
        model.tokenizer = tokenize
    return model.eval()


def plainly(name, model, images):
    """Image and text embeddings from the model's own parts."""
    if name == "fashionfae":
        return model.image_embedding(model.image_encoder(images)), model.text_embedding(model.tokenize(TEXTS))
    if name == "clip":
        return model.encode_image(images), model.encode_text(tokenize(TEXTS))
    text = model.tokenizer(TEXTS, padding=True, return_tensors="pt")
    encoder = model.text_encoder if name == "blip" else model.text_encoder.bert
    states = encoder(text.input_ids, attention_mask=text.attention_mask, return_dict=True, mode="text")
    image = model.visual_encoder.forward_features(images)[:, 0]
    return model.vision_proj(image), model.text_proj(states.last_hidden_state[:, 0])


@pytest.mark.parametrize("name", ["fashionfae", "blip", "albef", "clip"])
def test_embeddings_are_those_of_the_model_and_of_unit_length(name):
    model = build(name)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    adapter = adapt(model)
    results = adapter.embed_images(images), adapter.embed_texts(TEXTS)
    with torch.no_grad():
        expected = plainly(name, model, images)
    for result, embedding in zip(results, expected, strict=True):
        assert result.shape == (2, embedding.shape[1]) and not torch.equal(result[0], result[1])
        torch.testing.assert_close(result, embedding / embedding.norm(dim=1, keepdim=True))


@pytest.mark.parametrize("name", ["blip", "albef", "clip"])
def test_the_attribute_probe_runs_on_models_without_aetp(name):
    dataset = ToyProducts(24)
    loader = DataLoader(dataset, batch_size=8, collate_fn=dataset.collater)
    result = evaluate_attribute_probe(adapt(build(name)), loader)
    assert all({"itc", "pairs"} <= row.keys() and "aetp" not in row for row in result.attributes.values())
    assert "AETP" not in result.table() and "ITC, photo only" in result.table()


FLAGS = ("embeds", "matches", "predicts_words", "composes", "writes", "classifier_is_new")


@pytest.mark.parametrize(
    ("make", "able"),
    [
        (tiny_model, {"embeds", "matches", "predicts_words"}),
        (lambda: tiny_of(FashionRetrieval), {"embeds"}),
        (lambda: tiny_of(FashionComposition), {"composes"}),
        (lambda: tiny_of(FashionRecognition, num_classes=5), {"classifier_is_new"}),
        (lambda: build("blip"), {"embeds"}),
        (lambda: build("albef"), {"embeds"}),
        (lambda: build("clip"), {"embeds"}),
        (lambda: tiny_baseline("fashion_clip"), {"embeds"}),
        (lambda: tiny_baseline("fashion_blip"), {"embeds", "matches"}),
        (lambda: tiny_baseline("fashion_albef"), {"embeds", "matches"}),
        (lambda: tiny_baseline("fashion_blip_retrieval"), {"embeds", "matches"}),
        (lambda: tiny_baseline("fashion_albef_retrieval"), {"embeds", "matches"}),
        (lambda: tiny_baseline("fashion_blip_caption"), {"writes"}),
        (lambda: tiny_baseline("fashion_blip_recognition"), {"classifier_is_new"}),
        (lambda: torch.nn.Linear(1, 1), set()),
    ],
)
def test_flags_say_what_a_model_can_do(make, able):
    adapter = adapt(make())
    assert {flag for flag in FLAGS if getattr(adapter, flag)} == able


@pytest.mark.parametrize("name", ["fashionfae", "fashion_clip", "clip"])
def test_embedding_in_chunks_changes_no_gradient(name):
    """Also that of the learned scale, and with second views."""
    samples = {**tiny_samples(7), "image_2": tiny_samples(7, seed=1)["image"], "objectives": ["itc"]}
    found = []
    for size in (None, 3):
        model = tiny_baseline(name) if name == "fashion_clip" else build(name)
        adapter = adapt(model.eval())
        adapter.prepare_training()
        if size:
            adapter.embed_in_chunks(size)
        loss = model(samples)["loss"]
        (loss * 1024).backward()  # as AMP scales it
        gradients = {key: p.grad / 1024 for key, p in model.named_parameters() if p.grad is not None}
        found.append((loss.detach(), gradients))
    (loss, one), (loss_in_chunks, many) = found
    torch.testing.assert_close(loss_in_chunks, loss)
    assert one.keys() == many.keys() and {"scale", "logit_scale"} & one.keys()
    total = torch.stack([gradient.norm() for gradient in one.values()]).norm()
    for key in one:
        assert (many[key] - one[key]).norm() <= 1e-5 * max(one[key].norm(), 1e-2 * total), key


@pytest.mark.slow
def test_compiled_encoders_give_the_same_losses_and_gradients(monkeypatch):
    """Traces the encoders and their gradients, without the minute that it takes to compile the result."""
    monkeypatch.setenv("CXX", "sh")  # a program that exists
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    found = []
    for compiled in (False, True):
        model = tiny_model(fusion_encoder__num_hidden_layers=2, fusion_encoder__split=1).eval()
        if compiled:
            adapt(model).compile()
        losses = model({**tiny_samples(), "objectives": ["apir"]})  # reads all that is compiled
        losses["loss"].backward()
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        found.append(({name: loss.detach() for name, loss in losses.items()}, gradients, list(model.state_dict())))
    torch.testing.assert_close(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-4, atol=1e-5)
    assert found[0][2] == found[1][2]


def test_only_fashionfae_is_compiled_and_only_with_a_compiler(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UserError, match="torch.compile needs g\\+\\+ or clang\\+\\+: install it"):
        adapt(tiny_model()).compile()
    monkeypatch.setenv("CXX", "icpx")
    with pytest.raises(UserError, match="needs icpx"):
        adapt(tiny_model()).compile()
    with pytest.raises(UserError, match="run.compile: only FashionFAE's models are compiled"):
        adapt(tiny_baseline("fashion_clip")).compile()


@pytest.mark.parametrize("name", ["fashionfae", "blip"])
def test_the_device_follows_the_weights(name):
    model = build(name)
    adapter = adapt(model)
    assert adapter.device == model.device == torch.device("cpu")
    model.to("meta")
    assert adapter.device == model.device == torch.device("meta")
