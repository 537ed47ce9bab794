from fashionfae_lavis.reports.tables import grounding_table, retrieval_table, text_table

PROTOCOL = {f"{way}_r{k}": float(k) for way in ("i2t", "t2i") for k in (1, 5, 10)} | {"mean": 5.33}


def test_columns_line_up():
    assert text_table(["name", "x"], [["a", "1.00"], ["longer", "10.00"]]).splitlines() == [
        "name        x",
        "------  -----",
        "a        1.00",
        "longer  10.00",
    ]


def test_recalls_stand_beside_chance_and_short_queries_are_counted():
    results = {"description": {"full": PROTOCOL, "sub": {**PROTOCOL, "short_queries": 3}}, "chance": 0.5}
    lines = retrieval_table(results).splitlines()
    assert lines[2].split() == ["description,", "full", "test", "1.00", "5.00", "10.00"] + [
        "1.00",
        "5.00",
        "10.00",
        "5.33",
    ]
    assert lines[4].split()[3:6] == ["0.50", "2.50", "5.00"]
    assert lines[5].startswith("3 queries")


def test_grounding_shows_the_gain_and_nothing_where_nothing_was_measured():
    table = grounding_table({"aetp": {"colour": {"right": 90.0, "shuffled": 12.5, "places": 8}}})
    assert table.splitlines()[2].split() == ["colour", "90.0", "12.5", "+77.5"]
    assert grounding_table({}) == ""
