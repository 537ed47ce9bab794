import csv
from types import SimpleNamespace

import numpy as np
import pytest
from toy_shop import Table, ToyShop, toy_encoder

from fashionfae_lavis.search.label_audit import Doubt, audit, doubted, write_doubts
from fashionfae_lavis.search.labels import Labeller
from fashionfae_lavis.search.value_scores import ValueScorer


def shop_with_mistakes(wrong):
    """A shop whose products in `wrong` (index -> colour) have another colour than their photographs."""
    shop = ToyShop(120)
    shop.texts = {**shop.texts, "colour": [wrong.get(i, colour) for i, colour in enumerate(shop.colours)]}
    shop.ids = [f"sku {i}" for i in shop.product_ids]
    shop.image_name = lambda product: f"{product}.png"
    return shop


def test_mistakes_are_found_and_right_values_are_not():
    colours = ToyShop(120).colours
    wrong = {i: "Red" if colours[i] != "Red" else "Off-White" for i in (3, 50, 77)}
    shop = shop_with_mistakes(wrong)
    labeller = Labeller.fit(ValueScorer(toy_encoder(shop), text=False), shop, ["colour", "material"])
    doubts = audit(labeller, shop)
    assert {(doubt.product, doubt.attribute, doubt.given, doubt.seen) for doubt in doubts} == {
        (i, "colour", given, colours[i]) for i, given in wrong.items()
    }
    assert all(doubt.certainty > 0.8 for doubt in doubts)


def test_the_most_certain_come_first():
    shop = shop_with_mistakes({})
    rng = np.random.default_rng(0)
    labeller = Labeller.fit(Table(noise={"colour": rng.standard_normal((120, 3))}), shop, ["colour"])
    found = [doubt.certainty for doubt in audit(labeller, shop)]
    assert len(found) > 10 and found == sorted(found, reverse=True) and found[0] > found[-1]


def test_certainty_is_the_probability_of_the_other_values():
    attribute = SimpleNamespace(values=("navy blue", "red"), spelled=("Navy Blue", "Red"))
    given = ["", "Red", "navy-blue", "Mauve", ""]
    table = np.array([[0.9, 0.1], [0.8, 0.2], [1.0, 0.0]])
    assert doubted("colour", attribute, [1, 2, 3], given, table) == [
        Doubt(1, "colour", "Red", "Navy Blue", pytest.approx(0.9))
    ]  # the second is right, the third no known value


def test_the_list_opens_in_a_spreadsheet(tmp_path):
    shop = shop_with_mistakes({})
    shop.ids[4] = "=1+1"
    write_doubts([Doubt(4, "colour", "Red", "Navy Blue", 0.98765)], shop, tmp_path / "out.csv")
    with open(tmp_path / "out.csv", newline="") as file:
        assert list(csv.DictReader(file)) == [
            {
                "row": "4", "id": "'=1+1", "image": "4.png", "attribute": "colour", "given": "Red",
                "seen": "Navy Blue", "certainty": "0.9877",
            }
        ]  # fmt: skip
