import json

import pytest
from drawn_photographs import save_photographs

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.catalogue import prepare_catalogue
from fashionfae_lavis.search.products import read_products

TABLE = """SKU,name,image,baseColour,Sale Price,Year,vector,empty
a1,Red dress,0000.png,Red,"$1,299.00",2011,1,
a2,,0001.png,red,from 35,2012,2,NA
a3,Coat,,blue,12.5,,3,
a1,Again,0002.png,blue,3,2013,4,
a5,Hat,0003.png,,3,2013,5,
"""


@pytest.fixture
def shop(tmp_path):
    save_photographs(tmp_path / "photos", 4)
    (tmp_path / "shop.csv").write_text(TABLE)
    return tmp_path


def test_all_columns_of_a_table_travel(shop):
    found = read_products(shop / "shop.csv", shop / "photos")
    assert found.ids == ["a1", "a2", "a5"] and found.images == ["0000.png", "0001.png", "0003.png"]
    assert found.folder == shop / "photos"
    assert found.columns == {
        "title": ["Red dress", None, "Hat"],
        "base colour": ["Red", "Red", None],  # in the first spelling
        "sale price": [1299.0, None, 3.0],
        "year": ["2011", "2012", "2013"],
    }
    assert [(each.id, each.problem) for each in found.skipped] == [("a3", "no image"), ("a1", "duplicate id")]


def test_named_columns_travel_under_their_names(shop):
    columns = {"id": "SKU", "title": "baseColour"}
    found = read_products(shop / "shop.csv", shop / "photos", columns, {"price": "Sale Price"})
    assert found.columns == {"title": ["Red", "red", None], "price": [1299.0, None, 3.0]}


def test_a_table_without_texts_and_image_names(tmp_path):
    save_photographs(tmp_path, 2)
    rows = [{"sku": "0000", "sizes": [{"eu": 38}]}, {"sku": "0001", "sizes": None}, {"sku": "0009"}]
    (tmp_path / "shop.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_products(tmp_path / "shop.jsonl", pattern="{sku}.png")
    assert found.ids == ["0000", "0001"] and found.columns == {}  # nested cells do not travel
    assert found.skipped[0].problem.startswith("no image: no file 0009.png in ")
    with pytest.raises(UserError, match=r"no column called image .*: its first rows suggest .*--pattern '\{sku\}.png'"):
        read_products(tmp_path / "shop.jsonl")


def test_merged_variants_have_their_lowest_price(shop):
    (shop / "sizes.csv").write_text("handle,image,size,price\nd,0000.png,S,$40\nd,,M,$35\n")
    found = read_products(shop / "sizes.csv", shop / "photos", {"id": "handle"}, group=["handle"])
    assert found.ids == ["d"] and found.columns == {"size": ["S, M"], "price": [35.0]}


def test_a_prepared_catalogue(shop):
    prepare_catalogue(
        shop / "shop.csv", shop / "photos", shop / "out", attributes={"colour": "baseColour"}, max_bad=1, validation=0.5
    )
    found = read_products(shop / "out")
    order = sorted(range(len(found)), key=found.ids.__getitem__)
    assert [found.ids[i] for i in order] == ["a1", "a5"]  # `prepare` refuses a2, which has no text
    assert [found.columns["colour"][i] for i in order] == ["Red", None]
    assert [found.columns["title"][i] for i in order] == ["Red dress", "Hat"]
    assert sorted(found.columns["split"]) == ["train", "val"] and found.folder.samefile(shop / "photos")


def test_a_folder_of_photographs(tmp_path):
    save_photographs(tmp_path / "dress", 2)
    save_photographs(tmp_path / "coat" / "long", 1)
    found = read_products(tmp_path)
    assert found.ids == found.images == ["coat/long/0000.png", "dress/0000.png", "dress/0001.png"]
    assert found.columns == {"category": ["coat", "dress", "dress"]}


def test_a_name_that_is_not_utf_8(tmp_path):
    save_photographs(tmp_path, 1)
    (tmp_path / "0000.png").rename(tmp_path / "r\udcfcn.png")
    save_photographs(tmp_path, 1)
    found = read_products(tmp_path)
    assert found.ids == ["0000.png"]
    assert found.skipped == [("r\\udcfcn.png", "r\\udcfcn.png", "has a name that is not UTF-8")]


def test_inputs_that_cannot_be_used(shop, tmp_path):
    with pytest.raises(UserError, match="--pattern is an option of tables, but .*photos is a folder"):
        read_products(shop / "photos", pattern="{id}.jpg")
    with pytest.raises(UserError, match="--images .*absent is not a folder"):
        read_products(shop / "shop.csv", shop / "absent")
    with pytest.raises(UserError, match="The table .*absent.csv is missing"):
        read_products(shop / "absent.csv")
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="INPUT .*none has no photographs"):
        read_products(tmp_path / "none")
    (shop / "bare.csv").write_text("id,image\na,\n")
    with pytest.raises(UserError, match=r"bare.csv has no product with a photograph \(no image\)"):
        read_products(shop / "bare.csv")
