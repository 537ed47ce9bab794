import json
import os
from types import SimpleNamespace

import numpy as np
import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.candidates_file import candidate_lists, lists_digest
from fashionfae_lavis.metrics.candidates import NO_CANDIDATE


def catalogue(products=30, seed=0):
    """Products with ids that differ from their indices, one to four images each, and three subcategories, one of them
    with a single product."""
    rng = np.random.default_rng(seed)
    row_product = np.concatenate([np.arange(products), rng.integers(products, size=2 * products)])
    subcategory = np.array(["COATS", "DRESSES"])[np.arange(products) % 2]
    subcategory[0] = "HATS"
    return SimpleNamespace(
        product_ids=1000 + rng.permutation(products), row_product=rng.permutation(row_product), subcategory=subcategory
    )


def same(first, second):
    pairs = [(a, b) for draw, other in zip(first, second, strict=True) for a, b in zip(draw, other, strict=True)]
    return all(np.array_equal(a.query, b.query) and np.array_equal(a.candidate, b.candidate) for a, b in pairs)


def test_lists_are_drawn_written_and_read(tmp_path):
    path = tmp_path / "lists.json"
    drawn = candidate_lists(catalogue())
    written = candidate_lists(catalogue(), path)
    assert [p.name for p in tmp_path.iterdir()] == ["lists.json"]
    assert same(drawn, written) and same(written, candidate_lists(catalogue(), path)) and len(drawn) == 5
    assert (drawn[0].i2t.candidate == NO_CANDIDATE).any()  # a subcategory has fewer than 100 others


def test_equal_lists_have_one_digest_however_they_came(tmp_path):
    path = tmp_path / "lists.json"
    drawn, written = candidate_lists(catalogue()), candidate_lists(catalogue(), path)
    read = candidate_lists(catalogue(), path)
    assert lists_digest(drawn) == lists_digest(written) == lists_digest(read)
    assert len(lists_digest(drawn)) == 12 and lists_digest(drawn) != lists_digest(drawn[::-1])
    assert lists_digest(drawn) != lists_digest(candidate_lists(catalogue(seed=1)))
    read[4].t2i.candidate[-1, -1] += 1
    assert lists_digest(drawn) != lists_digest(read)


def test_the_file_means_the_same_to_a_stranger(tmp_path):
    """The file can be read by product ids and rows of the dataset's file alone."""
    dataset, path = catalogue(), tmp_path / "lists.json"
    candidate_lists(dataset, path)
    content = json.loads(path.read_text())
    assert (content["images"], content["products"], content["negatives"]) == (90, 30, 100)
    subcategory = dict(zip(dataset.product_ids, dataset.subcategory, strict=True))
    product_of_image = dataset.product_ids[dataset.row_product]
    assert len(content["draws"]) == 5
    for draw in content["draws"]:
        assert len(draw["image_to_text"]) == 90 and len(draw["text_to_image"]) == 30
        for line in draw["image_to_text"]:
            own, (positive, *negatives) = product_of_image[line["image"]], line["products"]
            assert positive == own and own not in negatives
            assert {subcategory[product] for product in negatives} <= {subcategory[own]}
            assert len(negatives) == {"HATS": 0, "COATS": 13, "DRESSES": 14}[subcategory[own]]
        for line in draw["text_to_image"]:
            owners = product_of_image[line["images"]]
            assert owners[0] == line["product"] and line["product"] not in owners[1:]


def test_what_is_in_the_file_counts(tmp_path):
    path = tmp_path / "lists.json"
    candidate_lists(catalogue(), path)
    content = json.loads(path.read_text())
    content["draws"] = content["draws"][:1]
    content["draws"][0]["image_to_text"] = content["draws"][0]["image_to_text"][:7]
    path.write_text(json.dumps(content))
    (draw,) = candidate_lists(catalogue(), path)
    assert len(draw.i2t.query) == 7 and len(draw.t2i.query) == 30


def other_product(content, dataset):
    line = content["draws"][0]["image_to_text"][0]
    line["products"][0] = next(int(p) for p in dataset.product_ids if p not in line["products"])


def own_product_again(content, dataset):
    line = next(line for line in content["draws"][1]["image_to_text"] if len(line["products"]) > 1)
    line["image"] = int(np.flatnonzero(dataset.product_ids[dataset.row_product] == line["products"][1])[0])


def other_subcategory(content, dataset):
    line = next(line for line in content["draws"][4]["image_to_text"] if len(line["products"]) > 1)
    line["products"][1] = int(dataset.product_ids[0])


def unknown_image(content, dataset):
    content["draws"][0]["text_to_image"][3]["images"][0] = 90


def unknown_product(content, dataset):
    content["draws"][0]["text_to_image"][3]["product"] = 5


def twice(content, dataset):
    line = next(line for line in content["draws"][0]["image_to_text"] if len(line["products"]) > 2)
    line["products"][1] = line["products"][2]


def nothing(content, dataset):
    content["draws"][0]["image_to_text"][0]["products"] = []


def too_many(content, dataset):
    content["negatives"] = 3


def no_draws(content, dataset):
    content["draws"] = []


def no_queries(content, dataset):
    content["draws"][2]["text_to_image"] = []


def endless(content, dataset):
    content["negatives"] = 10**12


def below_zero(content, dataset):
    content["negatives"] = -7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_product, "image_to_text, image .*: the first entry, and no other, must belong"),
        (own_product_again, "the first entry, and no other, must belong"),
        (other_subcategory, "image_to_text, image .*: a negative belongs to another subcategory"),
        (unknown_image, "text_to_image, product .*: an id is unknown"),
        (unknown_product, "text_to_image, product 5: an id is unknown"),
        (twice, "the list is empty, too long, or repeats an entry"),
        (nothing, "the list is empty, too long, or repeats an entry"),
        (too_many, "the list is empty, too long, or repeats an entry"),
        (no_draws, "a draw has no queries"),
        (no_queries, "a draw has no queries"),
        (endless, "it names 1000000000000 negatives"),
        (below_zero, "it names -7 negatives"),
    ],
)
def test_lists_that_do_not_fit_are_an_error(tmp_path, change, message):
    dataset, path = catalogue(), tmp_path / "lists.json"
    candidate_lists(dataset, path)
    content = json.loads(path.read_text())
    change(content, dataset)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"run.candidates: {path} does not fit this dataset .*{message}"):
        candidate_lists(dataset, path)


def test_lists_of_another_data_set_are_an_error(tmp_path):
    path = tmp_path / "lists.json"
    candidate_lists(catalogue(), path)
    with pytest.raises(UserError, match=r"does not fit this dataset \(it lists 90 images of 30 products\)"):
        candidate_lists(catalogue(31), path)
    with pytest.raises(UserError, match="does not fit this dataset"):  # as large, but not the same
        candidate_lists(catalogue(seed=1), path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"images": 90, "products": 30, "negatives": 9}',
        "\x00",
        '{"draws": 3}',
        "[" * 100_000,
        '{"images": 90, "products": 30, "negatives": 1e400, "draws": []}',
        '{"images": 90, "products": 30, "negatives": 9, "draws": [3]}',
        '{"images": 90, "products": 30, "draws": [{"image_to_text": [{"image": 1.5, "products": [1]}]}]}',
        '{"images": 90, "products": 30, "draws": [{"image_to_text": [{"image": 1, "products": "12"}]}]}',
    ],
)
def test_other_files_are_an_error(tmp_path, text):
    path = tmp_path / "lists.json"
    path.write_text(text)
    with pytest.raises(UserError, match=f"run.candidates: {path} holds no candidate lists"):
        candidate_lists(catalogue(), path)
    with pytest.raises(UserError, match="holds no candidate lists"):
        candidate_lists(catalogue(), tmp_path)


def test_a_folder_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(UserError, match="Cannot write .*/nowhere/lists.json"):
        candidate_lists(catalogue(), tmp_path / "nowhere" / "lists.json")


def test_a_pipe_is_an_error(tmp_path):
    os.mkfifo(tmp_path / "lists.json")
    with pytest.raises(UserError, match="holds no candidate lists"):
        candidate_lists(catalogue(), tmp_path / "lists.json")
