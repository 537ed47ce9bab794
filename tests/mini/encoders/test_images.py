import torch

from fashionfae_lavis.mini.encoders import images
from fashionfae_lavis.mini.fashiongen.attributes import sample_products
from fashionfae_lavis.mini.fashiongen.drawing import choose_poses
from fashionfae_lavis.models import FashionFAE


def test_values_are_numbered_per_attribute_where_the_picture_shows_them():
    products = sample_products("train", 30)
    values, labels = images.look_labels(products)
    pictures = [(product, pose) for product in products for pose in choose_poses(product)]
    assert labels.shape == (len(pictures), len(values))
    for (product, pose), row in zip(pictures, labels, strict=True):
        named = {name: names[index] for (name, names), index in zip(values.items(), row, strict=True) if index >= 0}
        look = {**product.look(), "sub category": product.subcategory}
        hidden = {"back": {"neckline", "closure"}, "detail": {"length"}}.get(pose, set())
        assert named == {name: value for name, value in look.items() if name not in hidden}


def test_a_value_looks_like_its_words_and_what_has_no_words_is_left_out():
    config = FashionFAE.config_for("mini").model
    model = FashionFAE.from_config({**config, "load_pretrained": False})
    values = {"trim": ["belt", "none"], "sub category": ["SKIRTS"]}
    embeddings, columns = images.word_embeddings(model, values)
    assert columns.tolist() == [[0, 0], [1, 0]]
    bert = model.fusion_encoder
    ids = model.tokenizer("belt belted", add_special_tokens=False, return_tensors="pt")["input_ids"]
    words = bert.embeddings.word_embeddings(ids) + bert.visual_embeddings.token_type_embeddings.weight[0]
    torch.testing.assert_close(embeddings[0], bert.embeddings.LayerNorm(words)[0].mean(0))
