"""Batches that are wrong in one way each: one sentence, or the meaning that the user had."""

import numpy as np
import pytest
import torch
from authors import tiny_of
from baselines import tiny_baseline
from PIL import Image
from tiny import tiny_model, tiny_samples

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models import FashionComposition, FashionRecognition, FashionRetrieval
from fashionfae_lavis.models.adapters import adapt


@pytest.fixture(scope="module")
def models():
    return {
        "pretraining": tiny_model().eval(),
        "retrieval": tiny_of(FashionRetrieval).eval(),
        "recognition": tiny_of(FashionRecognition).eval(),
        "composition": tiny_of(FashionComposition).eval(),
    }


def batch(**changes):
    samples = {**tiny_samples(2), "label": torch.tensor([0, 1]), "target_image": tiny_samples(2, seed=1)["image"]}
    return {key: value for key, value in {**samples, **changes}.items() if value is not KeyError}


def test_a_string_is_one_text_and_an_image_one_image(models):
    text, image = "red cotton dress", tiny_samples(1)["image"]
    for name in ("pretraining", "retrieval"):
        model = models[name]
        for mode, given, listed in (
            ("text", {"text_input": text}, {"text_input": [text]}),
            ("image", {"image": image[0]}, {"image": image}),
            ("multimodal", {"image": image[0], "text_input": text}, {"image": image, "text_input": [text]}),
        ):
            found, expected = model.extract_features(given, mode=mode), model.extract_features(listed, mode=mode)
            for value in ("image_embeds_proj", "text_embeds_proj", "multimodal_embeds"):
                pair = getattr(found, value), getattr(expected, value)
                assert pair == (None, None) or torch.equal(*pair)
        assert torch.equal(model.tokenize(text).input_ids, model.tokenize([text]).input_ids)
    single = models["recognition"].predict({"image": image[0], "text_input": text})["predictions"]
    assert torch.equal(single, models["recognition"].predict({"image": image, "text_input": [text]})["predictions"])


@pytest.mark.parametrize("arch", ["pretraining", "fashion_blip", "fashion_albef", "fashion_clip"])
def test_adapters_read_a_string_as_one_text_and_refuse_what_is_none(models, arch):
    adapter = adapt(models[arch] if arch in models else tiny_baseline(arch).eval())
    one = adapter.embed_texts("red cotton dress")
    assert one.shape[0] == 1 and torch.equal(one, adapter.embed_texts(["red cotton dress"]))
    image = tiny_samples(1)["image"]
    assert torch.equal(adapter.embed_images(image[0]), adapter.embed_images(image))
    for texts in ([], None, ["a", 3], b"red", 7):
        with pytest.raises(UserError):
            adapter.embed_texts(texts)
    for images in (None, image[:, :1], image[:0], image[..., :16], Image.new("RGB", (32, 32)), (image * 255).byte()):
        with pytest.raises(UserError, match="'image' "):
            adapter.embed_images(images)


WRONG = {
    "no image": ({"image": KeyError}, "samples has no 'image', which"),
    "image is None": ({"image": None}, "samples has no 'image', which"),
    "PIL image": (
        {"image": Image.new("RGB", (32, 32))},
        "'image' is of type Image.*image_processors",
    ),
    "array": ({"image": np.zeros((2, 3, 32, 32), np.float32)}, "'image' is of type ndarray, but must be a tensor"),
    "list of images": ({"image": list(tiny_samples(2)["image"])}, "'image' is of type list, but must be a tensor"),
    "grey images": ({"image": torch.zeros(2, 1, 32, 32)}, r"shape \(2, 1, 32, 32\), but must have \(B, 3, 32, 32\)"),
    "channels last": ({"image": torch.zeros(2, 32, 32, 3)}, r"shape \(2, 32, 32, 3\), but must have"),
    "another size": ({"image": torch.zeros(2, 3, 64, 64)}, r"must have \(B, 3, 32, 32\)"),
    "no images": ({"image": torch.zeros(0, 3, 32, 32)}, "B > 0"),
    "bytes": ({"image": torch.zeros(2, 3, 32, 32, dtype=torch.uint8)}, "'image' holds torch.uint8"),
    "no texts": ({"text_input": KeyError}, "samples has no 'text_input', which"),
    "texts are None": ({"text_input": None}, "samples has no 'text_input', which"),
    "empty texts": ({"text_input": []}, "'text_input' is empty"),
    "too few texts": ({"text_input": ["a"]}, "2 images but 1 texts in 'text_input'"),
    "one string for two images": ({"text_input": "ab"}, "2 images but 1 texts"),
    "a number among the texts": ({"text_input": ["a", 3]}, "'text_input' has a value of type int at position 1"),
    "None among the texts": ({"text_input": [None, "a"]}, "'text_input' has a value of type NoneType at position 0"),
    "texts as ids": ({"text_input": torch.zeros(2, 5)}, "'text_input' is of type Tensor"),
}


@pytest.mark.parametrize("case", WRONG)
def test_each_model_refuses_each_wrong_batch_in_one_sentence(models, case):
    change, message = WRONG[case]
    for model in models.values():
        with pytest.raises(UserError, match=message) as error:
            model(batch(**change))
        assert str(error.value).count("\n") == 0 and str(error.value).endswith(".")
    for name in ("pretraining", "retrieval"):
        with pytest.raises(UserError, match=message):
            models[name].extract_features(batch(**change))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("pretraining", {"fields": KeyError}, "samples has no 'fields', which MLM or AETP needs"),
        ("pretraining", {"fields": [{}]}, "'fields' has 1 entries"),
        ("pretraining", {"product_id": torch.arange(3)}, "'product_id' has 3 entries"),
        ("pretraining", {"product_id": torch.tensor(3)}, "'product_id' has 0 entries"),
        ("pretraining", {"image_2": torch.zeros(1, 3, 32, 32)}, "'image_2' has 1 entries"),
        ("pretraining", {"image_2": torch.zeros(2, 3, 8, 8)}, "'image_2' has the shape"),
        ("pretraining", {"objectives": ["itc", "mml"]}, "'objectives' holds mml: use some of itc"),
        ("pretraining", {"objectives": []}, "'objectives' holds nothing"),
        ("recognition", {"label": KeyError}, "samples has no 'label'"),
        ("recognition", {"label": torch.tensor([0])}, r"'label' has the shape \(1,\)"),
        ("recognition", {"label": torch.tensor([0.5, 1])}, "'label' has .* torch.float32"),
        ("composition", {"target_image": KeyError}, "samples has no 'target_image'"),
        ("composition", {"target_image": torch.zeros(1, 3, 32, 32)}, "'target_image' has 1 entries"),
    ],
)
def test_further_keys_are_checked_too(models, name, change, message):
    with pytest.raises(UserError, match=message):
        models[name](batch(**change))


def test_what_is_no_mapping_and_no_mode_is_refused(models):
    for model in models.values():
        with pytest.raises(UserError, match="samples is of type str, but must be a dict with 'image'"):
            model("red dress")
    with pytest.raises(UserError, match='mode must be "image"'):
        models["retrieval"].extract_features(batch(), mode="both")
    with pytest.raises(UserError, match="samples needs 'image' and 'text_input'"):
        models["composition"].predict({"image": batch()["image"]})
    with pytest.raises(UserError, match="multiples of 8"):
        models["pretraining"].image_tokenizer({"image": torch.zeros(1, 3, 33, 32)})


def test_one_objective_may_be_named_alone(models):
    model = models["pretraining"]
    alone = model({**batch(), "objectives": "itc"})
    assert torch.equal(alone["loss"], model({**batch(), "objectives": ["itc"]})["loss"])
