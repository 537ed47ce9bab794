from fashionfae_lavis.reports.tables import attribute_table, grounding_table, retrieval_table, text_table

PROTOCOL = {f"{way}_r{k}": float(k) for way in ("i2t", "t2i") for k in (1, 5, 10)} | {"mean": 5.33}


def test_columns_line_up():
    assert text_table(["name", "x"], [["a", "1.00"], ["longer", "10.00"]]).splitlines() == [
        "name        x",
        "------  -----",
        "a        1.00",
        "longer  10.00",
    ]


def test_recalls_stand_beside_chance_and_short_queries_are_counted():
    sub = {**PROTOCOL, **{f"{key}_std": 0.25 for key in PROTOCOL}, "queries": 10_000, "short_queries": 3}
    results = {
        "description": {"full": PROTOCOL, "sub": sub},
        "description+attributes": {"full": PROTOCOL, "reranked": {**PROTOCOL, "mean": 6.0, "k_test": 16}, "sub": sub},
        "chance": 0.5,
    }
    lines = retrieval_table(results).splitlines()
    recalls = ["1.00", "5.00", "10.00"] * 2
    assert lines[2].split() == ["description,", "full", "test", *recalls, "5.33"]
    assert lines[3].split() == ["description,", "sub-test", "of", "101", *recalls, "5.33"]
    assert lines[4].split() == ["standard", "deviation", "of", "the", "draws", *["0.25"] * 7]
    assert lines[6].split() == [*["description+attributes,", "top", "16", "re-ranked", "by", "ITM"], *recalls, "6.00"]
    assert lines[9].split() == ["chance,", "full", "test", *["0.50", "2.50", "5.00"] * 2, "2.67"]
    assert lines[10] == "3 of 10000 queries of the sub-test had fewer than 100 negatives."
    sub["short_queries"] = 0
    assert len(retrieval_table(results).splitlines()) == 10


def test_grounding_shows_the_gain_and_nothing_where_nothing_was_measured():
    table = grounding_table({"aetp": {"colour": {"right": 90.0, "shuffled": 12.5, "places": 8}}})
    assert table.splitlines()[2].split() == ["colour", "90.0", "12.5", "+77.5"]
    assert grounding_table({}) == ""


def test_attributes_in_a_table_with_a_dash_for_what_was_not_asked():
    def told(accuracy, **more):
        return {"accuracy": accuracy, "half_width": 1.25, "n": 40, **more}

    row = {"seen": True, "values": 12, "products": 50, "chance": 8.33, "majority": 10.0, "itc": told(90.0, top5=99.0)}
    season = {**row, "seen": False, "itc": told(9.0), "aetp": told(8.0), "aetp_prompt_only": told(7.0)}
    results = {
        "attributes": {"colour": {**row, "pairs": told(75.0)}, "season": season},
        "left_out": {"gender": "it has one value only"},
    }
    lines = attribute_table(results).splitlines()
    assert lines[2].split() == (
        ["colour", "12", "50", "8.3", "10.0", "90.0", "±", "1.2", "99.0", "-", "-", "75.0", "±", "1.2", "40"]
    )
    expected = "season (not to be seen) 12 50 8.3 10.0 9.0 ± 1.2 - 8.0 ± 1.2 7.0 ± 1.2 - -"
    assert " ".join(lines[3].split()) == expected
    assert lines[4] == "Left out: gender, as it has one value only."
