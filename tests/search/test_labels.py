import numpy as np
import pytest
from toy_shop import Table, ToyShop, photograph, toy_encoder

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.labels import Label, Labeller, label_products, photographs
from fashionfae_lavis.search.value_scores import ValueScorer

NAMES = ["colour", "material"]
VALUES = ["navy blue", "off white", "red"]  # sorted, as columns of scores


def fit(shop, scorer, names=("colour",), **options):
    return Labeller.fit(scorer, shop, list(names), **options)


def score_table(shop, strength, noise=1.0, seed=0):
    """Scores of the colours: noise, and `strength` more for the right one."""
    rng = np.random.default_rng(seed)
    table = noise * rng.standard_normal((len(shop.colours), 3))
    words = ["navy blue" if c == "Navy Blue" else "red" if c == "Red" else "off white" for c in shop.colours]
    table[np.arange(len(words)), [VALUES.index(word) for word in words]] += strength
    return {"colour": table}


def test_a_model_that_knows_names_every_value_in_the_shops_spelling():
    shop = ToyShop()
    labeller = fit(shop, ValueScorer(toy_encoder(shop)), NAMES)
    for name, one in labeller.figures().items():
        assert one["accuracy"] == one["coverage"] == 100 and one["calibration_error"] < 5, name
        assert one["way"] == "ITC" and one["products"] == 60
    found = labeller.label([photograph(i) for i in range(60)])
    assert [labels["colour"].value for labels in found] == shop.colours
    assert [labels["material"].value for labels in found] == shop.materials
    assert all(labels["colour"].confidence > 0.9 for labels in found)
    assert all(
        labels["material"].runner_up == {"wool": "silk", "silk": "wool"}[labels["material"].value] for labels in found
    )


def test_a_blind_model_is_as_confident_as_the_shares_of_the_values_allow():
    shop = ToyShop(250)
    labeller = fit(shop, ValueScorer(toy_encoder(shop, knows=False)))
    figures = labeller.figures()["colour"]
    share = shop.colours.count("Navy Blue") / 250
    assert figures["majority"] == pytest.approx(100 * share)
    assert figures["chance"] == pytest.approx(100 / 3)
    assert figures["accuracy"] == pytest.approx(100 * share, abs=3) and figures["coverage"] < 10
    label = labeller.label([photograph(7)])[0]["colour"]
    assert label.value == "Navy Blue" and label.runner_up == "Red"
    assert label.confidence == pytest.approx(share, abs=0.1)


def test_labels_are_the_two_most_probable_values():
    shop = ToyShop(120)
    labeller = fit(shop, Table(noisy=score_table(shop, 2.0)))
    pictures = [photograph(i) for i in range(120)]
    probabilities = labeller.probabilities(pictures)["colour"]
    assert probabilities.sum(1) == pytest.approx(np.ones(120))
    spelled = labeller.attributes["colour"].spelled
    for row, labels in zip(probabilities, labeller.label(pictures), strict=True):
        first, second = sorted(range(3), key=lambda i: -row[i])[:2]
        assert labels["colour"] == Label(spelled[first], pytest.approx(row[first]), spelled[second])


def test_confidences_are_honest_for_other_products():
    """Scores are three times too large; on products that calibrated nothing, 80 % confidence still means 80 %."""
    shop, others = ToyShop(250, seed=1), ToyShop(250, seed=2)
    for name, table in (("own", shop), ("others", others)):
        table.scores = {"colour": 3 * score_table(table, 1.5, seed=hash(name) % 7)["colour"]}
    scorer = Table(noisy=shop.scores)
    labeller = fit(shop, scorer)
    scorer.tables["noisy"] = others.scores
    labels = [each["colour"] for each in labeller.label([photograph(i) for i in range(250)])]
    confidence = np.mean([label.confidence for label in labels])
    accuracy = np.mean([label.value == colour for label, colour in zip(labels, others.colours, strict=True)])
    assert 0.6 < accuracy < 0.95 and confidence == pytest.approx(accuracy, abs=0.06)
    assert labeller.figures()["colour"]["accuracy"] == pytest.approx(100 * accuracy, abs=10)


def test_chooses_the_way_that_tells_most_for_each_attribute():
    shop = ToyShop(100)
    good, bad = score_table(shop, 4.0), score_table(shop, 0.3)
    wool = np.array([[material == "silk", material == "wool"] for material in shop.materials], float)
    flat = np.zeros_like(wool)
    scorer = Table(first={**good, "material": flat}, second={**bad, "material": wool})
    labeller = fit(shop, scorer, NAMES)
    assert {name: one.way for name, one in labeller.attributes.items()} == {"colour": "first", "material": "second"}


def test_a_product_does_not_give_its_own_value_away():
    """Where each product has a value of its own and scores say nothing, all get the same answer."""
    shop = ToyShop(40, colour=[f"colour {number}" for number in range(40)])
    labeller = fit(shop, Table(blind={"colour": np.zeros((40, 40))}))
    assert labeller.figures()["colour"]["accuracy"] <= 100 / 40 + 1e-9


def test_photographs_are_encoded_once_for_all_attributes():
    shop = ToyShop(70)
    scorer = Table(one={**score_table(shop, 3.0), "material": np.zeros((70, 2))})
    labeller = fit(shop, scorer, NAMES)
    assert scorer.batches == [32, 32, 6]
    labeller.label([photograph(0)] * 5)
    assert scorer.batches == [32, 32, 6, 5]


def test_products_without_a_value_calibrate_nothing():
    colours = [colour if i % 2 else "" for i, colour in enumerate(ToyShop(100).colours)]
    shop = ToyShop(100, colour=colours)
    labeller = fit(shop, ValueScorer(toy_encoder(shop)), NAMES)
    assert {name: one["products"] for name, one in labeller.figures().items()} == {"colour": 50, "material": 100}


def test_names_only_what_is_missing():
    colours = [colour if i % 2 else "" for i, colour in enumerate(ToyShop(100).colours)]
    shop = ToyShop(100, colour=colours, broken={4})
    labeller = fit(shop, ValueScorer(toy_encoder(shop)), NAMES)
    labels, unreadable = label_products(labeller, shop)
    assert unreadable == 1 and sorted(labels) == [i for i in range(0, 100, 2) if i != 4]
    assert all(list(found) == ["colour"] and found["colour"].value == shop.colours[i] for i, found in labels.items())


def test_known_values_are_the_choice_and_the_prior():
    """The catalogue has a value that no held-out product has, and other shares."""
    shop = ToyShop(60)
    known = {"colour": shop.colours + ["Green"] * 500}
    labeller = fit(shop, ValueScorer(toy_encoder(shop, knows=False)), known=known)
    one = labeller.attributes["colour"]
    assert one.values == ("green", "navy blue", "off white", "red") and one.spelled[2] == "Off-White"
    assert np.exp(one.log_prior).tolist() == pytest.approx(
        [(known["colour"].count(value) + 1) / 564 for value in one.spelled]
    )


def test_the_next_photograph_takes_the_place_of_a_broken_one():
    shop = ToyShop(5, broken={1, 6, 3})
    shop.row_product = np.array([0, 1, 2, 3, 4, 4, 1, 2, 0])  # products 0, 1, 2 and 4 have two; 3 has a broken one
    shop.image = lambda row: ToyShop.image(shop, row).point(lambda pixel: pixel + 10 * row)
    found = [
        (i, np.array(image)[0, 0, 0])
        for batch, images in photographs(shop, [4, 1, 3, 0], "")
        for i, image in zip(batch, images, strict=True)
    ]
    assert found == [(4, 44), (0, 0)]
    shop.broken = {1, 3}
    assert [batch for batch, _ in photographs(shop, [4, 1, 3, 0], "")] == [[4, 1, 0]]


@pytest.mark.parametrize(
    ("texts", "names", "error"),
    [
        ({}, ["color"], "--attributes color: the products have no such attribute; did you mean colour?"),
        ({"colour": ["Red"] * 30}, ["colour"], "--attributes colour: the products have only the value 'Red'"),
        ({"colour": [""] * 30}, ["colour"], "--attributes colour: the products have no value"),
        ({"colour": ["Red", "Blue"] * 5 + [""] * 20}, ["colour"], "colour: 10 products .* 20 are needed to calibrate"),
    ],
)
def test_an_attribute_that_cannot_be_told_is_an_error(texts, names, error):
    shop = ToyShop(30, **texts)
    with pytest.raises(UserError, match=error) as caught:
        fit(shop, ValueScorer(toy_encoder(shop)), names)
    assert "\n" not in str(caught.value)
