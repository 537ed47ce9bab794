import shutil
from functools import partial

import pytest
import torch
from authors import tiny_of
from timm.models.vision_transformer import VisionTransformer
from tiny import tiny_model
from torch import nn
from transformers import BertConfig, BertModel, ViTConfig, ViTModel

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models import FashionComposition, FashionRecognition, FashionRetrieval
from fashionfae_lavis.models.initial_weights import load_hub_weights
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
