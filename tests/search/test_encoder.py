import numpy as np
import pytest
import torch
from drawn_photographs import photograph
from lavis.models import load_model
from PIL import Image
from trained import checkpoint_of

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.adapters import adapt
from fashionfae_lavis.processors import FashionImageEvalProcessor
from fashionfae_lavis.search.encoder import Encoder

IMAGES = [photograph(seed) for seed in range(3)]
TEXTS = ["Red dress", "blue wool coat, long", "shirt"]
READ = ["the image description is red dress", "the image description is blue wool coat long"]
READ += ["the image description is shirt"]
EMBEDDING = ("fashionfae", "fashionfae_retrieval", "fashion_clip", "fashion_blip", "fashion_albef")


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Returns the encoder and the adapter of a tiny checkpoint, which is written and read once."""
    folder, found = tmp_path_factory.mktemp("checkpoints"), {}

    def pair(arch):
        if arch not in found:
            path = str(checkpoint_of(arch, folder / f"{arch}.pth"))
            found[arch] = Encoder.open(path, "cpu"), adapt(load_model(arch, path, is_eval=True))
        return found[arch]

    return pair


def processed():
    return torch.stack([FashionImageEvalProcessor(32, 36)(image) for image in IMAGES])


@pytest.mark.parametrize("arch", EMBEDDING)
def test_embeddings_are_those_of_the_adapter(arch, opened):
    encoder, adapter = opened(arch)
    images, texts = encoder.embed_images(IMAGES), encoder.embed_texts(TEXTS)
    assert images.shape == texts.shape == (3, encoder.dim) and images.dtype == texts.dtype == np.float32
    np.testing.assert_allclose(images, adapter.embed_images(processed()).numpy(), atol=1e-6)
    np.testing.assert_allclose(texts, adapter.embed_texts(READ).numpy(), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1, atol=1e-6)
    assert encoder.matches == (arch in ("fashionfae", "fashion_blip", "fashion_albef")) and not encoder.composes


def test_images_of_any_mode(opened):
    encoder, _ = opened("fashionfae")
    transparent = IMAGES[0].convert("RGBA")
    transparent.putalpha(0)
    white = encoder.embed_images([Image.new("RGB", (40, 60), "white")])
    np.testing.assert_allclose(encoder.embed_images([transparent]), white, atol=1e-6)
    assert encoder.process([IMAGES[0].convert("CMYK"), IMAGES[0].convert("L")]).shape == (2, 3, 32, 32)


@pytest.mark.parametrize("arch", ["fashionfae", "fashion_blip", "fashion_albef"])
def test_matches_are_probabilities_pair_by_pair(arch, opened):
    encoder, adapter = opened(arch)
    adapter.model.itm_head.weight.data *= 50  # judges pairs differently, which a fresh one hardly does
    encoder.adapter.model.load_state_dict(adapter.model.state_dict())
    found = encoder.match(IMAGES, TEXTS[1])
    with torch.no_grad():
        expected = [
            adapter.match_logits(adapter.image_tokens(image[None]), adapter.tokenize([READ[1]])).softmax(1)[0, 1].item()
            for image in processed()
        ]
    np.testing.assert_allclose(np.log(found), np.log(expected), atol=1e-3)
    assert np.ptp(np.log(found)) > 1e-2


def test_compositions_rank_the_gallery_of_the_model(opened):
    encoder, adapter = opened("fashionfae_composition")
    model = adapter.model
    assert encoder.composes and not encoder.matches
    query = model.predict({"image": processed(), "text_input": READ})["query"]
    target = model.predict({"target_image": processed()})["target"]
    np.testing.assert_allclose(encoder.compose(IMAGES, TEXTS), query.detach().numpy(), atol=1e-6)
    np.testing.assert_allclose(encoder.embed_images(IMAGES), target.detach().numpy(), atol=1e-6)
    part = torch.nn.functional.normalize(adapter.text_part(READ), dim=1).detach().numpy()
    np.testing.assert_allclose(encoder.embed_texts(TEXTS), part, atol=1e-6)


def test_what_a_model_cannot_do(opened, tmp_path):
    encoder, _ = opened("fashion_clip")
    with pytest.raises(UserError, match="does not compose images and texts: use a checkpoint of text-guided"):
        encoder.compose(IMAGES, TEXTS)
    with pytest.raises(UserError, match="has no image-text matching head"):
        encoder.match(IMAGES, "red")
    with pytest.raises(UserError, match=r"\(FashionRecognition\) has no embeddings"):
        Encoder.open(str(checkpoint_of("fashionfae_recognition", tmp_path / "classes.pth")), "cpu")
    with pytest.raises(UserError, match="no images to embed"):
        encoder.embed_images([])
    with pytest.raises(UserError, match="'texts' is empty"):
        encoder.embed_texts([])


def test_texts_without_a_word_are_not_read(opened):
    encoder, _ = opened("fashionfae")
    assert encoder.reads("red") and encoder.reads("فستان") and encoder.reads("🎉 40")
    assert not any(encoder.reads(text) for text in ("", "?!", "🎉", "\udcff"))
