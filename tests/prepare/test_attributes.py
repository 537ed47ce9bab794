import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.attributes import attribute_name, why_useless


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("articleType", "article type"),
        ("SubCategory", "sub category"),
        ("baseColour", "base colour"),
        ("UPPER", "upper"),
        ("primary_colour", "primary colour"),
        ("Product-Type", "product type"),
        ("sub category", "sub category"),
        ("EUSize", "eu size"),
        ("sizeUS", "size us"),
        ("größeEU", "größe eu"),
        ("3DModel", "3d model"),
    ],
)
def test_names_of_columns_become_words(column, name):
    assert attribute_name(column) == name


@pytest.mark.parametrize("name", ["Title", "DESCRIPTION", "_", "?"])
def test_some_names_are_refused(name):
    with pytest.raises(UserError, match="give the attribute a name in words other than title and description"):
        attribute_name(name)


def test_attributes_that_teach_nothing():
    assert why_useless(0, 0) == "no product has a value"
    assert why_useless(1, 20) == "all 20 products that have one have the same value"
    assert "20 values of 20 products" in why_useless(20, 20)
    assert "101 values of 200 products" in why_useless(101, 200)
    # Few products, or brands of a small shop.
    assert {why_useless(*case) for case in [(1, 19), (19, 19), (16, 20), (2, 20), (70, 100), (100, 200)]} == {""}
