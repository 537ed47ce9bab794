import json

import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.products import ProductRows
from fashionfae_lavis.prepare.tables import Table

# As Shopify exports them: a row for each size, and further photographs in rows of their own.
SHOPIFY = """Handle,Title,Vendor,Type,Colour,Size,Price,Image Src
wool-coat,Wool coat,Acme,Coat,red,S,$35,https://cdn.shop.com/red.jpg?v=1
wool-coat,,,,red,M,$35.00,
hat,Hat,Zed,Hat,,,"1.299,00 €",https://cdn.shop.com/hat.jpg
wool-coat,,,,blue,M,$40,https://cdn.shop.com/blue.jpg?v=1
wool-coat,,,,,,,https://cdn.shop.com/back.jpg?v=1
"""
OPTIONS = {
    "columns": {"image": "Image Src"},
    "attributes": {"size": "Size", "colour": "Colour", "price": "Price", "type": "Type"},
}


@pytest.fixture
def shop(tmp_path):
    (tmp_path / "shop.csv").write_text(SHOPIFY)
    for name in ("red", "blue", "hat"):
        (tmp_path / f"{name}.jpg").touch()
    return Table(tmp_path / "shop.csv")


def products_of(table, **options):
    return ProductRows(table, table.path.parent, **(OPTIONS | options))


def test_variants_of_a_handle(shop):
    rows = products_of(shop, group=["Handle"])
    hat, coat = rows
    assert (coat.id, coat.row, coat.title, coat.problem) == ("wool-coat", 2, "Wool coat", "")
    assert coat.fields == {"size": "S, M", "colour": "red, blue", "price": "35 dollars, 40 dollars", "type": "Coat"}
    assert coat.images == ["red.jpg", "blue.jpg", "https://cdn.shop.com/back.jpg?v=1"]
    assert coat.image_problems == {coat.images[2]: "is a web address without a file: none is called back.jpg"}
    assert (hat.id, hat.fields["price"], hat.images) == ("hat", "1299 euros", ["hat.jpg"])
    assert (rows.merged_rows, rows.addresses) == (3, 3)
    assert len(list(rows)) == 2 and (rows.merged_rows, rows.addresses) == (3, 3)  # again


def test_variants_of_a_handle_and_a_colour(shop):
    products = {
        product.id: product
        for product in products_of(shop, group=["Handle", "Colour"], title="{Vendor} {Colour} {Type}")
    }
    assert list(products) == ["hat", "wool-coat red", "wool-coat blue"]
    red, blue = products["wool-coat red"], products["wool-coat blue"]
    assert (red.title, red.fields["size"], red.images[0]) == ("Acme red Coat", "S, M", "red.jpg")
    assert (blue.title, blue.fields["size"], blue.images) == ("Acme blue Coat", "M", ["blue.jpg"])
    assert blue.fields["type"] == "Coat" and products["hat"].title == "Zed Hat"


def test_a_mapped_id_is_kept_if_it_is_no_column_of_the_group(shop):
    options = {"columns": {"image": "Image Src", "id": "Price"}}
    assert [product.id for product in products_of(shop, group=["Handle"], **options)] == ["1.299,00 €", "$35"]


def test_a_row_without_a_group_stays_alone(tmp_path):
    (tmp_path / "shop.csv").write_text("handle,title,image\n,A,1.jpg\n,B,2.jpg\nc,C,3.jpg\nc,,4.jpg\n")
    rows = ProductRows(Table(tmp_path / "shop.csv"), tmp_path, {}, {}, group=["handle"])
    assert [(product.id, product.images) for product in rows] == [
        ("2", ["1.jpg"]),
        ("3", ["2.jpg"]),
        ("c", ["3.jpg", "4.jpg"]),
    ]


def test_a_pattern_finds_the_images_of_all_variants(shop, tmp_path):
    _, coat = products_of(shop, group=["Handle"], pattern="{Colour}*")
    assert coat.images == ["red.jpg", "blue.jpg"]


def test_an_unreadable_cell_in_a_group_costs_one_row(tmp_path):
    rows = [{"h": "a", "title": "A", "image": "1.jpg"}, {"h": "a", "title": {"x": 1}}, {"h": {"x": 1}, "title": "B"}]
    (tmp_path / "shop.json").write_text(json.dumps([*rows, {"h": "a", "image": "2.jpg"}]))
    products = list(ProductRows(Table(tmp_path / "shop.json"), tmp_path, {}, {}, group=["h"]))
    assert [(product.row, product.problem) for product in products] == [
        (2, "unreadable cell: title is nested"),
        (3, "unreadable cell: h is nested"),
        (1, ""),
    ]
    assert products[2].images == ["1.jpg", "2.jpg"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group": ["Handle", "Hue"]}, "--group Hue: .* lacks this column; use one of Handle, Title"),
        ({"title": "{Hue}"}, "--title {Hue}: the table has no column 'Hue'"),
        (
            {"title": "{Type}", "columns": {"title": "Title", "image": "Image Src"}},
            "--title {Type} and --map title=Title both give the title: use one of them",
        ),
    ],
)
def test_mistakes_are_named(shop, options, message):
    with pytest.raises(UserError, match=message):
        products_of(shop, **options)


def test_shopifys_products_json(tmp_path):
    images = [{"id": 7, "src": "https://cdn.shop.com/red.jpg?v=1"}, {"id": 8, "src": "//cdn.shop.com/back.jpg"}]
    product = {"id": 123, "title": "Coat", "handle": "coat", "body_html": "<p>Warm</p>", "images": images}
    (tmp_path / "products.json").write_text(json.dumps({"products": [{**product, "variants": [{"id": 1}]}]}))
    for name in ("red", "back"):
        (tmp_path / f"{name}.jpg").touch()
    (coat,) = ProductRows(Table(tmp_path / "products.json"), tmp_path, {"description": "body_html"}, {})
    assert (coat.id, coat.description, coat.images) == ("123", "Warm", ["red.jpg", "back.jpg"])
