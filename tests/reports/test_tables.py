from fashionfae_lavis.reports.tables import (
    attribute_table,
    benchmark_table,
    composition_table,
    grounding_table,
    recognition_table,
    retrieval_table,
    search_table,
    text_table,
)

NAMED = {"attribute": "shade"}
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


def recognition(per_class, **more):
    chance = {"accuracy": 70.0, "macro_f1": 41.176}
    figures = {"accuracy": 80.0, "macro_f1": 33.333, "chance": chance, "images": 15, "classes": 1, "unseen": {}}
    return {**figures, "per_class": per_class, "confusions": [], **more}


def class_row(f1, support):
    return {"precision": 50.0, "recall": 100.0, "f1": f1, "support": support}


def test_the_worst_classes_stand_above_the_figures_of_all_and_of_chance():
    per_class = {"JEANS": class_row(66.666, 12), "POLOS": class_row(0.0, 3), "EMPTY": class_row(0.0, 0)}
    results = recognition(
        per_class,
        unseen={"POLOS": 3},
        confusions=[{"true": "POLOS", "predicted": "JEANS", "count": 2, "share": 66.666}],
    )
    assert "\nClasses without an image in this split: 1.\n" in recognition_table(results)
    lines = [line.split() for line in recognition_table(results).splitlines()]
    assert lines[2] == ["POLOS", "50.0", "100.0", "0.0", "3"] and lines[3][0] == "JEANS"
    assert lines[8] == ["POLOS", "->", "JEANS", "2", "66.7"]
    assert lines[10] == ["1", "classes,", "15", "images", "accuracy", "macro-F1"]
    assert lines[12] == ["model", "80.00", "33.33"]
    assert lines[13][-2:] == ["70.00", "41.18"]
    assert lines[14][-2:] == ["POLOS", "(3)."]
    assert "Always wrong" not in recognition_table({**results, "unseen": {}})


def test_only_the_worst_of_many_classes_are_shown():
    per_class = {f"class {i}": class_row(float(i), 1 + i) for i in reversed(range(150))}
    lines = recognition_table(recognition(per_class)).splitlines()
    assert [line.split()[1] for line in lines[2:32]] == [str(i) for i in range(30)]
    assert lines[32] == "Better classes, which only results.json lists: 120."


def test_searches_in_two_tables():
    pair = {"p1": 40.0, "p5": 30.0, "p10": 20.0, "p10_limit": 75.0, "chance": 2.5, "queries": 7}
    lines = search_table({"colour, type": pair}, pair, 90, ["season, colour"]).splitlines()
    assert lines[2].split() == ["colour,", "type", "40.0", "30.0", "20.0", "75.0", "2.5", "7"]
    assert lines[3].startswith("mean of the pairs") and lines[4].endswith("share two values: season, colour.")
    rows = {"average": 30.0, "mrr": 50.0, "chance": 2.5, "queries": 7}
    table = benchmark_table(
        {"text to image": {"r1": 1.0, "r10": 2.0, **rows}, "colour to product": {"p1": 3.0, "p10": 4.0, **rows} | NAMED}
    )
    assert " ".join(table.splitlines()[2].split()) == "text to image, recall 1.0 2.0 30.0 50.0 2.5 7"
    assert table.splitlines()[3].split()[4:6] == ["(shade)", "3.0"]


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
        "photo_only": accuracy_of(91.0),
        "linear_probe": accuracy_of(92.0),
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
    titles = ["ITC, photo only", "AETP, photo only", "the better, photo only", "linear probe", "AETP, photo + text"]
    titles.append("pairs of texts (chance 50)")
    starts = [lines[0].index(title) for title in titles]
    assert starts == sorted(starts)
    assert lines[2].split() == (
        ["colour", "12", "50", "8.3", "10.0", "90.0", "±", "1.2", "-"]
        + ["91.0", "±", "1.2", "92.0", "±", "1.2", "-", "75.0", "±", "1.2", "99.0", "40"]
    )
    expected = "season (not visible) 12 50 8.3 10.0 9.0 ± 1.2 7.0 ± 1.2 91.0 ± 1.2 92.0 ± 1.2 8.0 ± 1.2 - - -"
    assert " ".join(lines[3].split()) == expected
    assert lines[4].startswith("photo only: ") and lines[5].startswith("photo + text: ")
    assert lines[6] == "Left out: gender, because it has only one value."
    without = attribute_table({"colour": row}, {})
    assert "AETP" not in without and "photo + text" not in without
