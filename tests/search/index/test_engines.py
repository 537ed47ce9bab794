import io
import re

import numpy as np
import pyarrow as pa
import pytest
from indexed_shop import COLOURS, DIM, directions, photographs, products
from PIL import Image

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.index import create_index, lance, open_index, postgres
from fashionfae_lavis.search.where import Where


def ids_of(hits):
    return [hit.id for hit in hits]


def reference(vectors, query, count, keep=None):
    """Ids and scores of the nearest products, by comparing all."""
    scores = vectors.matrix().astype(np.float64) @ query
    order = [row for row in np.argsort(-scores, kind="stable") if keep is None or keep(vectors.table.slice(row, 1))]
    return [(vectors.ids[row], scores[row]) for row in order[:count]]


def test_nearest_agrees_with_comparing_all(location):
    vectors = products(200)
    index = create_index(location, vectors)
    for query in directions(5, seed=1):
        hits = index.nearest(query, 7)
        expected = reference(vectors, query, 7)
        assert ids_of(hits) == [name for name, _ in expected]
        np.testing.assert_allclose([hit.score for hit in hits], [score for _, score in expected], atol=1e-6)
    row = vectors.ids.index(hits[0].id)
    assert hits[0].fields == {name: vectors.table[name][row].as_py() for name in ("title", "colour", "price")}
    np.testing.assert_array_equal(hits[0].vector, vectors.matrix()[row])
    assert hits[0].thumbnail == b""


def test_filters_apply_before_ranking(location):
    vectors = products(200)
    index = create_index(location, vectors)
    where = Where.parse("colour = 'women''s' and price < 40 or title = 'x'", index.info.columns)
    query = directions(1, seed=1)[0]

    def keep(row):
        price = row["price"][0].as_py()
        return row["colour"][0].as_py() == "women's" and price is not None and price < 40

    expected = reference(vectors, query, 100, keep)
    assert 0 < len(expected) < 100  # a filter after ranking would lose some
    assert ids_of(index.nearest(query, 100, where)) == [name for name, _ in expected]
    assert ids_of(index.browse(where, 0, 100)) == sorted(name for name, _ in expected)
    best = ids_of(index.nearest(query, 3, where))
    assert ids_of(index.nearest(query, 2, where, exclude=best[:1])) == best[1:]


def test_more_hits_than_rows(location):
    index = create_index(location, products(5))
    assert len(index.nearest(directions(1)[0], 1000)) == 5
    assert len(index.browse(None, 3, 1000)) == 2
    assert index.browse(None, 5, 10) == []


def test_an_empty_index_can_be_filled(location):
    index = create_index(location, products(0))
    assert index.info.rows == 0
    assert index.nearest(directions(1)[0], 3) == index.browse(None, 0, 3) == index.fetch(["x"]) == []
    assert index.facets(["colour"]) == {"colour": {}}
    index.rebuild()
    assert index.check() == []
    assert index.add(products(3)) == 3
    assert index.info.rows == len(index.nearest(directions(1)[0], 10)) == 3


def test_fetch_keeps_the_order_and_leaves_out_unknown_ids(location):
    index = create_index(location, products(5))
    hits = index.fetch(["it's 00003", "' or 1=1 --", "it's 00001"])
    assert ids_of(hits) == ["it's 00003", "it's 00001"]
    assert hits[1].fields["title"] == '👗 "1" \\ عربي'


def test_facets_count_values(location):
    index = create_index(location, products(22))
    assert index.facets(["colour"]) == {"colour": {"blue": 6, "red": 6, "women's": 5}}
    where = Where.parse("price > 9.5", index.info.columns)
    counts = index.facets(["colour", "title"], where)
    assert counts["colour"] == {"red": 3, "blue": 2, "women's": 2}
    assert list(counts["colour"]) == ["red", "blue", "women's"]
    assert sum(counts["title"].values()) == 9
    with pytest.raises(UserError, match="did you mean colour"):
        index.facets(["color"])
    with pytest.raises(UserError, match="holds numbers"):
        index.facets(["price"])


def test_add_update_delete(location):
    index = create_index(location, products(10))
    assert index.add(products(5, first=10, seed=2)) == 5
    with pytest.raises(UserError, match=re.escape("has products with the id it's 00014 already")):
        index.add(products(3, first=14))
    assert index.info.rows == 15
    changed = products(4, first=13, seed=3)
    assert index.update(changed) == 4
    assert index.info.rows == 17
    for hit, vector in zip(index.fetch(changed.ids), changed.matrix(), strict=True):
        np.testing.assert_array_equal(hit.vector, vector)
    assert index.delete(["it's 00000", "unknown", "it's 00016"]) == 2
    assert index.delete([]) == 0
    assert ids_of(index.browse(None, 0, 100)) == [f"it's {number:05}" for number in range(1, 16)]
    index.rebuild()
    assert len(index.nearest(directions(1)[0], 100)) == index.info.rows == 15
    assert index.check() == []


def test_columns_may_be_missing_but_not_new(location):
    index = create_index(location, products(3))
    fewer = products(2, first=3)
    fewer = type(fewer)(fewer.table.drop_columns(["price"]), fewer.model, fewer.digest)
    index.add(fewer)
    assert index.fetch(["it's 00004"])[0].fields["price"] is None
    with pytest.raises(UserError, match="no column 'prices'; did you mean price"):
        index.add(products(2, first=9, prices=[1.0, 2.0]))
    with pytest.raises(UserError, match="price holds numbers in .* and texts in the vectors"):
        index.add(products(2, first=9, price=["1", "2"]))
    assert index.info.rows == 5


def test_columns_of_any_name_and_type(location):
    names = ["vector ", "thumbnail", "c0", "select", "a.b", "q\"`'", "", "_distance", "x" * 100, "Ü 👗"]
    columns = {name: [f"{name}{number}" for number in range(3)] for name in names}
    columns |= {"stock": pa.array([1, None, 3]), "new": pa.array([True, False, None]), "nan": [1.0, np.nan, np.inf]}
    columns |= {"null": pa.array(["a\0b", "", None])}
    index = create_index(location, products(3, **columns))
    found = index.fetch(["it's 00001"])[0].fields
    assert {name: found[name] for name in names} == {name: f"{name}1" for name in names}
    assert (found["stock"], found["new"], found["nan"], found["null"]) == (None, "false", None, "")
    assert index.fetch(["it's 00000"])[0].fields["null"] == "ab"
    where = Where.parse("\"q\"\"`'\" = 'q\"`''2' and stock = 3", index.info.columns)
    assert ids_of(index.nearest(directions(1)[0], 3, where)) == ["it's 00002"]


def test_another_models_vectors_are_refused(location):
    index = create_index(location, products(3))
    other = products(3, first=5, digest="f" * 16)
    for change in (index.add, index.update):
        with pytest.raises(
            UserError, match=re.escape("model toy (0123456789abcdef), these are of toy (ffffffffffffffff)")
        ):
            change(other)
    with pytest.raises(UserError, match="use that model, or embed the products"):
        open_index(location, digest="f" * 16)
    info = open_index(location, digest="0123456789abcdef").info
    assert (info.model, info.dim, info.rows) == ("toy", DIM, 3)
    assert info.columns == {"title": "text", "colour": "text", "price": "number"}


def test_damaged_vectors_are_refused(location):
    twice = products(4)
    twice = type(twice)(pa.concat_tables([twice.table, twice.table.slice(1, 1)]), twice.model, twice.digest)
    with pytest.raises(UserError, match="Several products have the id it's 00001:"):
        create_index(location, twice)
    for value in (np.nan, 0, 2):
        damaged = products(4)
        matrix = damaged.matrix().copy()
        matrix[2] = value
        with pytest.raises(UserError, match="The vector of it's 00002 is not of length 1"):
            create_index(location, type(damaged).of(damaged.ids, [""] * 4, matrix, {}, "toy", "0"))
    with pytest.raises(UserError, match="The id x{200}... is empty, longer than 1000 bytes or no text: use another"):
        create_index(location, type(damaged).of(["x" * 1001], [""], directions(1), {}, "toy", "0"))
    for values in ([["a"], ["b"]], [b"a", b"\xff"]):
        with pytest.raises(UserError, match="The column sizes of the vectors is of the type .*: make it texts or numb"):
            create_index(location, products(2, sizes=pa.array(values)))
    with pytest.raises(UserError, match="holds no index"):
        open_index(location)


def test_ids_that_cannot_be_stored_are_not_in_the_index(location):
    index = create_index(location, products(2))
    odd = ["a\0b", "\udcff"]
    assert [hit.id for hit in index.fetch([*odd, "it's 00001"])] == ["it's 00001"] and index.fetch(odd) == []
    assert index.delete([*odd, "it's 00001"]) == 1 and index.delete(odd) == 0


def test_an_index_is_replaced_only_if_told_and_not_below_a_reader(location):
    index = create_index(location, products(3))
    with pytest.raises(UserError, match="holds an index already: .*--replace"):
        create_index(location, products(4))
    assert index.info.rows == 3
    create_index(location, products(4), replace=True)
    assert index.info.rows == 4  # the same model and columns
    create_index(location, products(5, digest="f" * 16), replace=True)
    with pytest.raises(UserError, match="was replaced .*: open it again"):
        index.nearest(directions(1)[0], 3)
    with pytest.raises(UserError, match="was replaced .*: open it again"):
        index.delete(["it's 00000"])
    assert open_index(location).info.rows == 5


def test_thumbnails_are_made_and_broken_images_named(location, tmp_path, caplog):
    paths = photographs(tmp_path / "images", 4)
    Image.new("CMYK", (400, 1000), (0, 255, 255, 0)).save(paths[0])
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (500, 300), "blue").save(paths[1], exif=turned)
    with open(paths[2], "wb") as file:
        file.write(b"no image")
    index = create_index(location, products(5, images=[*paths, ""]))
    red, upright, broken, small, without = index.fetch([f"it's {number:05}" for number in range(5)])
    image = Image.open(io.BytesIO(red.thumbnail))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (90, 224))
    assert image.getpixel((10, 10))[0] > 200 > 60 > image.getpixel((10, 10))[1]
    assert Image.open(io.BytesIO(upright.thumbnail)).size == (134, 224)
    assert Image.open(io.BytesIO(small.thumbnail)).size == (60, 30)
    assert broken.thumbnail == without.thumbnail == b""
    assert (broken.image, without.image) == (paths[2], "")
    assert f"1 products have no thumbnail: {paths[2]} cannot be read" in caplog.text
    [problem] = index.check()
    assert "1 products have no thumbnail (it's 00002)" in problem


def test_two_handles_see_each_others_changes(location):
    one = create_index(location, products(3))
    two = open_index(location)
    one.add(products(2, first=3))
    assert two.info.rows == 5
    two.delete(["it's 00000"])
    assert one.info.rows == len(one.nearest(directions(1)[0], 10)) == 4


def test_many_ids(location):
    index = create_index(location, products(3000))
    every = [f"it's {number:05}" for number in range(3000)]
    assert len(index.fetch(every)) == 3000
    assert index.delete(every[10:]) == 2990
    assert set(COLOURS) - {None} == set(index.facets(["colour"])["colour"])


def test_a_large_index_is_approximate_and_stays_complete(location, monkeypatch):
    for engine in (lance, postgres):
        monkeypatch.setattr(engine, "EXACT_ROWS", 400)
    monkeypatch.setattr(lance, "PARTITION", 50)
    vectors, more = products(1000), products(50, first=1000, seed=5)
    index = create_index(location, vectors)
    assert has_approximate_index(index)
    assert recall(index, vectors) > 0.9
    index.add(more)
    assert index.nearest(more.matrix()[7], 1)[0].id == more.ids[7]
    # Few products pass the filter; all of them are found, wherever the approximate index has them.
    where = Where.parse("price < 40 and colour = 'blue'", index.info.columns)
    assert len(index.nearest(directions(1)[0], 20, where)) == 8
    assert len(index.nearest(directions(1)[0], 2000)) == 1050
    near = [hit.id for hit in index.nearest(vectors.matrix()[3], 400)]
    assert index.delete(near) == 400
    hits = index.nearest(vectors.matrix()[3], 300)
    assert len(hits) == 300 and not {hit.id for hit in hits} & set(near)
    index.update(products(1000, seed=6))
    index.rebuild()
    assert has_approximate_index(index)
    assert recall(index, products(1000, seed=6)) > 0.9
    assert index.check() == []


def recall(index, vectors):
    """Share of the ten nearest of some products that the index finds, which has no other products near them."""
    shares = []
    for query in vectors.matrix()[:40]:
        right = {name for name, _ in reference(vectors, query, 10)}
        shares.append(len(right & set(ids_of(index.nearest(query, 10)))) / 10)
    return np.mean(shares)


def has_approximate_index(index):
    if isinstance(index, lance.LanceIndex):
        return "vector" in [column for found in index._table.list_indices() for column in found.columns]
    with index._reading() as connection:
        return postgres._exists(connection, postgres.APPROXIMATE)
