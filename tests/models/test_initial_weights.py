import json
import logging
import shutil
from functools import partial

import numpy as np
import pytest
import torch
from authors import tiny_of
from omegaconf import OmegaConf
from PIL import Image
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer
from tiny import tiny_model
from torch import nn
from transformers import BertConfig, BertModel, ViTConfig, ViTModel

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models import FashionComposition, FashionRecognition, FashionRetrieval
from fashionfae_lavis.models import initial_weights as module
from fashionfae_lavis.models.initial_weights import load_hub_weights, resample_positions, timm_vit_state
from fashionfae_lavis.models.vocabulary import load_tokenizer
from fashionfae_lavis.text.word_pieces import Text

VIT = ViTConfig(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=128,
    image_size=32,
    patch_size=4,
)


@pytest.fixture(params=[False, True], ids=["bin", "safetensors"])
def folders(tmp_path, request):
    torch.manual_seed(1)
    model = tiny_model()
    bert = BertModel(BertConfig(**{**model.fusion_encoder.config.to_dict(), "hidden_dropout_prob": 0.1})).eval()
    vit = ViTModel(VIT).eval()
    for name, source in (("bert", bert), ("vit", vit)):
        source.save_pretrained(tmp_path / name, safe_serialization=request.param)
        weights = [file.suffix for file in (tmp_path / name).iterdir() if file.suffix != ".json"]
        assert weights == [".safetensors" if request.param else ".bin"]
    return model.eval(), bert, vit, tmp_path


def test_local_folders_give_the_hidden_states_of_transformers(folders):
    model, bert, vit, path = folders
    load_hub_weights(model, str(path / "bert"), str(path / "vit"))
    images = torch.randn(2, 3, 32, 32)
    expected = vit(images).last_hidden_state
    torch.testing.assert_close(model.image_encoder(images), expected, atol=1e-5, rtol=0)
    ids = torch.randint(5, 100, (2, 7))
    text = Text(ids, torch.ones_like(ids))
    expected = bert(ids).last_hidden_state
    torch.testing.assert_close(model.fusion_encoder.encode_text(text), expected, atol=1e-5, rtol=0)


def test_visual_tables_start_as_bert_s_own(folders):
    model, bert, _, path = folders
    load_hub_weights(model, str(path / "bert"), str(path / "vit"))
    visual = model.fusion_encoder.visual_embeddings
    assert torch.equal(visual.position_embeddings.weight, bert.embeddings.position_embeddings.weight)
    assert torch.equal(visual.token_type_embeddings.weight, bert.embeddings.token_type_embeddings.weight)


def test_a_file_of_timm_s_vit_gives_its_tokens(folders):
    model, _, _, path = folders
    sizes = {"img_size": 32, "patch_size": 4, "embed_dim": 32, "depth": 2, "num_heads": 2}
    timm = VisionTransformer(**sizes, num_classes=10, norm_layer=partial(nn.LayerNorm, eps=1e-12)).eval()
    torch.save(timm.state_dict(), path / "vit.pth")
    load_hub_weights(model, str(path / "bert"), str(path / "vit.pth"))
    images = torch.randn(2, 3, 32, 32)
    expected = timm.forward_features(images)  # of the first token
    torch.testing.assert_close(model.image_encoder(images)[:, 0], expected, atol=1e-5, rtol=0)
    torch.save({"model": {"patch_embed.proj.weight": torch.zeros(2)}}, path / "vit.pth")
    with pytest.raises(UserError, match="vit.pth is of another architecture"):
        load_hub_weights(model, str(path / "bert"), str(path / "vit.pth"))


@pytest.fixture
def timm_folder(tmp_path):
    """A folder as on timm's hub, and its ViT."""
    sizes = {"img_size": 32, "patch_size": 4, "embed_dim": 32, "depth": 2, "num_heads": 2}
    timm = VisionTransformer(**sizes, num_classes=10, norm_layer=partial(nn.LayerNorm, eps=1e-12)).eval()
    folder = tmp_path / "timm_vit"
    folder.mkdir()
    save_file(timm.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"architecture": "vit_small_patch16_224", "num_classes": 10}))
    return timm, folder


def test_a_folder_and_a_hub_id_of_timm_give_its_tokens(timm_folder, monkeypatch):
    timm, folder = timm_folder
    images = torch.randn(2, 3, 32, 32)

    def download(name, filename, local_files_only=False):
        assert name == "timm/vit_small_patch16_224.augreg_in21k" and local_files_only  # the cache is asked first
        return str(folder / filename)

    monkeypatch.setattr(module, "hf_hub_download", download)
    for vit in (str(folder), "timm/vit_small_patch16_224.augreg_in21k"):
        model = tiny_model().eval()
        load_hub_weights(model, None, vit)
        torch.testing.assert_close(model.image_encoder(images)[:, 0], timm.forward_features(images), atol=1e-5, rtol=0)


def test_timm_s_hub_out_of_reach_is_one_sentence():
    with pytest.raises(UserError, match="ViT of `model.vit` from 'timm/vit.*hub cannot be reached.*local") as caught:
        load_hub_weights(tiny_model(), None, "timm/vit_small_patch16_224.augreg_in21k")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("left_out", ["bert", "vit"])
def test_an_encoder_without_a_source_keeps_its_random_weights(folders, left_out, caplog):
    model, bert, vit, path = folders
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    sources = {"bert": str(path / "bert"), "vit": str(path / "vit"), left_out: None}
    with caplog.at_level(logging.INFO):
        load_hub_weights(model, **sources)
    kept, part = {"bert": ("fusion_encoder.", "fusion"), "vit": ("image_encoder.", "image")}[left_out]
    assert [record.message for record in caplog.records] == [
        f"model.{left_out} is null: the {part} encoder starts from random weights."
    ]
    for name, tensor in model.state_dict().items():
        if name.startswith(kept):
            assert torch.equal(tensor, before[name]), name
    loaded = (
        (model.image_encoder.cls_token, vit.embeddings.cls_token)
        if left_out == "bert"
        else (model.fusion_encoder.embeddings.word_embeddings.weight, bert.embeddings.word_embeddings.weight)
    )
    assert torch.equal(*loaded)


@pytest.mark.parametrize("grid", [3, 7, 14, 20])
def test_positions_are_resampled_as_pillow_resamples_an_image(grid):
    positions = torch.randn(1, 1 + 14**2, 5)
    found = resample_positions(positions, grid)
    assert found.shape == (1, 1 + grid**2, 5) and torch.equal(found[:, 0], positions[:, 0])
    for channel in range(5):
        square = Image.fromarray(positions[0, 1:, channel].view(14, 14).numpy())
        expected = np.array(square.resize((grid, grid), Image.Resampling.BICUBIC))
        np.testing.assert_allclose(found[0, 1:, channel].view(grid, grid).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 2 + 14**2, 5), (1, 1, 5), (1, 0, 5), (5,)])  # the first is distilled DeiT's
def test_positions_that_are_no_square_stay(shape):
    positions = torch.randn(shape)
    assert resample_positions(positions, 7) is positions


def test_base_reads_smaller_images_with_a_vit_of_224_pixels(tmp_path):
    vit = ViTModel(ViTConfig(num_hidden_layers=1)).eval()
    with torch.no_grad():
        vit.embeddings.position_embeddings.normal_()
    vit.save_pretrained(tmp_path)
    shallow = {"image_encoder": {"depth": 1, "pool": 1}, "fusion_encoder": {"num_hidden_layers": 1, "split": 1}}
    base = OmegaConf.merge(FashionRetrieval.config_for("base").model, shallow)
    for pixels in (112, 224):
        changes = {"image_size": pixels, "vocabulary": "mini", "bert": None, "vit": str(tmp_path)}
        encoder = FashionRetrieval.from_config(OmegaConf.merge(base, changes)).image_encoder.eval()
        stored = timm_vit_state(vit.state_dict())
        assert torch.equal(encoder.pos_embed, resample_positions(stored["pos_embed"], pixels // 16))
        assert torch.equal(encoder.patch_embed.proj.weight, stored["patch_embed.proj.weight"])
        assert encoder(torch.randn(1, 3, pixels, pixels)).shape == (1, 1 + (pixels // 16) ** 2, 768)


def test_a_model_that_is_no_vit_is_refused_instead_of_drawn_at_random(folders):
    _, _, _, path = folders
    with pytest.raises(UserError, match="bert' is not the ViT of `model.vit`: it lacks [0-9]+ weights"):
        load_hub_weights(tiny_model(), None, str(path / "bert"))


@pytest.mark.parametrize("model_class", [FashionComposition, FashionRecognition, FashionRetrieval])
def test_every_model_of_the_family_starts_from_them(folders, model_class):
    _, bert, vit, path = folders
    weights = {"bert": str(path / "bert"), "vit": str(path / "vit")}
    model = tiny_of(model_class, load_pretrained=True, pretrained=None, **weights).eval()
    images, ids = torch.randn(2, 3, 32, 32), torch.randint(5, 100, (2, 7))
    torch.testing.assert_close(model.image_encoder(images), vit(images).last_hidden_state, atol=1e-5, rtol=0)
    states = model.fusion_encoder.encode_text(Text(ids, torch.ones_like(ids)))
    torch.testing.assert_close(states, bert(ids).last_hidden_state, atol=1e-5, rtol=0)


def test_weights_of_another_size_are_named(folders):
    _, _, _, path = folders
    with pytest.raises(UserError, match="vit is of another architecture"):
        load_hub_weights(tiny_model(image_encoder__depth=3), str(path / "bert"), str(path / "vit"))


def test_a_flipped_bit_in_a_local_bert_is_named(folders, tmp_path):
    _, bert, _, path = folders
    shutil.copytree(path / "bert", tmp_path / "damaged")
    weights = tmp_path / "damaged" / "pytorch_model.bin"
    if not weights.exists():
        pytest.skip("safetensors files of other programs have no checksum")
    content = bytearray(weights.read_bytes())
    content[content.index(bert.embeddings.word_embeddings.weight.detach().numpy().tobytes()) + 5] ^= 64
    weights.write_bytes(content)
    with pytest.raises(UserError, match=f"^{weights} is damaged .*: copy the file again"):
        load_hub_weights(tiny_model(), str(tmp_path / "damaged"), str(path / "vit"))


@pytest.mark.parametrize("name", ["bert-base-uncased", "/no/such/folder"])
def test_an_unreachable_hub_or_folder_is_one_sentence_with_the_ways_on(name):
    with pytest.raises(UserError, match="Cannot read the vocabulary.*local folder.*needs no download") as caught:
        load_tokenizer(name)
    assert "\n" not in str(caught.value)


def test_the_shipped_vocabulary_needs_no_hub():
    tokenizer = load_tokenizer("mini")
    assert tokenizer.pad_token_id == 0
    words = ["the", "image", "sub", "category", "is", "shirts"]
    assert tokenizer.tokenize(" ".join(words)) == words
