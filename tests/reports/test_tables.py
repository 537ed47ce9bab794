from fashionfae_lavis.reports.tables import (
    attribute_table,
    composition_table,
    grounding_table,
    recognition_table,
    retrieval_table,
    text_table,
)

PROTOCOL = {f"{way}_r{k}": float(k) for way in ("i2t", "t2i") for k in (1, 5, 10)} | {"mean": 5.33}


def test_columns_line_up():
    assert text_table(["name", "x"], [["a", "1.00"], ["longer", "10.00"]]).splitlines() == [
        "name        x",
        "------  -----",
        "a        1.00",
        "longer  10.00",
    ]


def test_recalls_and_chance_and_the_count_of_short_queries():
    sub = {**PROTOCOL, **{f"{key}_std": 0.25 for key in PROTOCOL}, "queries": 10_000, "short_queries": 3}
    results = {
        "description": {"full": PROTOCOL, "sub": sub},
        "description+attributes": {"full": PROTOCOL, "reranked": {**PROTOCOL, "mean": 6.0, "k_test": 16}, "sub": sub},
    }
    equal = {mode: {"products": 9, "shared_products": 0} for mode in results}
    lines = retrieval_table(results, 0.5, equal).splitlines()
    recalls = ["1.00", "5.00", "10.00"] * 2
    assert lines[2].split() == ["description,", "full", "test", *recalls, "5.33"]
    assert lines[3].split() == ["description,", "sub-test", "of", "101", *recalls, "5.33"]
    assert lines[4].split() == ["standard", "deviation", "of", "the", "draws", *["0.25"] * 7]
    assert lines[6].split() == [*["description+attributes,", "top", "16", "re-ranked", "by", "ITM"], *recalls, "6.00"]
    assert lines[9].split() == ["chance,", "full", "test", *["0.50", "2.50", "5.00"] * 2, "2.67"]
    assert lines[10] == (
        "Products that share their text with another product: 0 of 9 (description), 0 of 9 (description+attributes)."
    )
    assert lines[11] == "3 of 10000 queries of the sub-test had fewer than 100 negatives."
    sub["short_queries"] = 0
    assert len(retrieval_table(results, 0.5, equal).splitlines()) == 11


def test_rows_with_equal_texts_follow_the_mode_in_which_products_share_texts():
    sub = {**PROTOCOL, **{f"{key}_std": 0.25 for key in PROTOCOL}, "queries": 10_000, "short_queries": 0}
    shared = {"products": 9, "shared_products": 4, "full": {**PROTOCOL, "mean": 7.0}, "sub": sub}
    lines = retrieval_table({"description": {"full": PROTOCOL, "sub": sub}}, 0.5, {"description": shared}).splitlines()
    assert lines[5].startswith("description, equal texts, full test ") and lines[5].endswith("7.00")
    assert lines[6].startswith("description, equal texts, sub-test of 101 ")
    assert "4 of 9 (description)" in lines[9] and lines[10].startswith('In the rows "equal texts" all products')


def test_grounding_shows_the_gain_and_nothing_where_nothing_was_measured():
    table = grounding_table({"aetp": {"colour": {"right": 90.0, "shuffled": 12.5, "places": 8}}})
    assert table.splitlines()[2].split() == ["colour", "90.0", "12.5", "+77.5", "8"]
    assert grounding_table({}) == ""


def test_figures_of_classes_stand_above_those_of_all_and_of_chance():
    results = {
        "per_class": {
            "JEANS": {"precision": 50.0, "recall": 100.0, "f1": 66.666, "support": 12},
            "POLOS": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 3},
        },
        "accuracy": 80.0,
        "macro_f1": 33.333,
        "chance": {"accuracy": 70.0, "macro_f1": 41.176},
        "images": 15,
        "classes": 1,
        "unseen": {"POLOS": 3},
    }
    lines = [line.split() for line in recognition_table(results).splitlines()]
    assert lines[2] == ["JEANS", "50.0", "100.0", "66.7", "12"]
    assert lines[5] == ["1", "classes,", "15", "images", "accuracy", "macro-F1"]
    assert lines[7] == ["model", "80.00", "33.33"]
    assert lines[8][-2:] == ["70.00", "41.18"]
    assert lines[9][-2:] == ["POLOS", "(3)."]
    assert "Always wrong" not in recognition_table({**results, "unseen": {}})


def test_text_guided_retrieval_has_a_row_for_each_query_and_gallery():
    def recalls(value):
        figures = {"r10": value, "r50": value + 1, "mean": value + 0.5}
        return {"split": {"dress": figures, "mean": figures}, "queried": {"dress": figures, "mean": figures}}

    table = composition_table({"image + text": recalls(40.0), "chance": recalls(2.0)})
    assert table.splitlines()[0].split("  ")[0] == "query, gallery"
    assert [line.split() for line in table.splitlines()[2:]] == [
        ["image", "+", "text,", "all", "images", "40.00", "41.00", "40.00", "41.00", "40.50"],
        ["image", "+", "text,", "queried", "images", "40.00", "41.00", "40.00", "41.00", "40.50"],
        ["chance,", "all", "images", "2.00", "3.00", "2.00", "3.00", "2.50"],
        ["chance,", "queried", "images", "2.00", "3.00", "2.00", "3.00", "2.50"],
    ]


def test_attributes_in_a_table_with_a_dash_for_what_was_not_asked():
    def accuracy_of(accuracy, **more):
        return {"accuracy": accuracy, "half_width": 1.25, "n": 40, **more}

    row = {
        "seen": True,
        "values": 12,
        "products": 50,
        "chance": 8.33,
        "majority": 10.0,
        "itc": accuracy_of(90.0, top5=99.0),
    }
    season = {
        **row,
        "seen": False,
        "itc": accuracy_of(9.0),
        "aetp": accuracy_of(8.0),
        "aetp_prompt_only": accuracy_of(7.0),
    }
    attributes = {"colour": {**row, "pairs": accuracy_of(75.0)}, "season": season}
    lines = attribute_table(attributes, {"gender": "it has only one value"}).splitlines()
    assert lines[2].split() == (
        ["colour", "12", "50", "8.3", "10.0", "90.0", "±", "1.2", "99.0", "-", "-", "75.0", "±", "1.2", "40"]
    )
    expected = "season (not visible) 12 50 8.3 10.0 9.0 ± 1.2 - 8.0 ± 1.2 7.0 ± 1.2 - -"
    assert " ".join(lines[3].split()) == expected
    assert lines[4] == "Left out: gender, because it has only one value."
