from fashionfae_lavis.prepare import grouping
from fashionfae_lavis.prepare.grouping import merge_variants
from fashionfae_lavis.prepare.source import Product


def product(row, *group, **options):
    return Product(row, group=group, **options)


def last_rows(products):
    return {product.group[0]: product.row for product in products if product.group}


def merged(*products):
    return list(merge_variants(products, last_rows(products)))


def test_variants_become_one_product():
    (coat,) = merged(
        product(2, "coat", title="Coat", images=["1.jpg"], fields={"size": "S", "colour": "Red"}, split="val"),
        product(3, "coat", images=["2.jpg", "1.jpg"], fields={"size": "M", "colour": "red"}, description="Warm."),
        product(4, "coat", title="Other", images=["3.jpg"], fields={"size": "S", "colour": ""}),
    )
    assert (coat.row, coat.title, coat.description, coat.split) == (2, "Coat", "Warm.", "val")
    assert coat.images == ["1.jpg", "2.jpg", "3.jpg"] and coat.fields == {"size": "S, M", "colour": "Red"}


def test_a_second_column_tells_variants_apart_and_texts_are_filled_from_the_first_row():
    red, blue = merged(
        product(2, "coat", "red", title="Coat", images=["1"], fields={"fabric": "wool"}, title_parts={"brand": "Acme"}),
        product(3, "coat", "blue", images=["2"], fields={"fabric": ""}, title_parts={"brand": ""}),
        product(4, "coat", "blue", images=["3"], fields={"fabric": "silk"}),
        product(5, "coat", "", images=["4"]),  # without a colour: of the first row's
    )
    assert (red.images, red.fields) == (["1", "4"], {"fabric": "wool"})
    assert (blue.title, blue.images, blue.fields) == ("Coat", ["2", "3"], {"fabric": "silk"})
    assert blue.title_parts == {"brand": "Acme"}


def test_rows_of_a_group_need_not_be_adjacent_and_few_products_wait():
    rows = [product(2, "a"), product(3, "b"), product(4), product(5, "a", images=["1"]), product(6, "c")]
    read = []

    def reading():
        for row in rows:
            read.append(row.row)
            yield row

    found = [(product.row, list(read)) for product in merge_variants(reading(), last_rows(rows))]
    assert found == [(3, [2, 3]), (4, [2, 3, 4]), (2, [2, 3, 4, 5]), (6, [2, 3, 4, 5, 6])]
    assert rows[0].images == ["1"]


def test_a_bad_row_costs_only_itself():
    bad = product(3, "a", problem="unreadable cell", title="Bad")
    found = merged(product(2, "a", title="Coat"), bad)
    assert [(product.row, product.title, product.problem) for product in found] == [
        (3, "Bad", "unreadable cell"),
        (2, "Coat", ""),
    ]


def test_a_group_has_limits(monkeypatch):
    monkeypatch.setattr(grouping, "MOST", 3)
    monkeypatch.setattr(grouping, "LONGEST_TEXT", 30)
    (images,) = merged(*(product(i, "a", images=[f"{i}.jpg"]) for i in range(6)))
    assert images.problem == "has more than 3 images"
    (texts,) = merged(*(product(i, "a", fields={"size": f"size {i}"}) for i in range(6)))
    assert texts.problem == "has an attribute of more than 30 characters"
