import datetime

import pytest

from fashionfae_lavis.prepare.cells import CellError, Unreadable, cell_text, missing_spelling


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (float("nan"), ""),
        ("N/A", ""),
        ("  none ", "none"),  # a closure may be none
        (42.0, "42"),
        (4.5, "4.5"),
        (True, "True"),
        (["wool", None, "silk"], "wool, silk"),
        (datetime.date(2020, 1, 2), "2020-01-02"),
    ],
)
def test_cells_as_text(value, text):
    assert cell_text(value) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "NA",
        "n/a",
        "N.A.",
        "nan",
        "NaN",
        "<NA>",
        "None",
        "NaT",
        "NULL",
        "-",
        "--",
        "\u2014",
        "?",
        "...",
        "#N/A",
    ],
)
def test_spellings_of_a_missing_value(text):
    assert cell_text(text) == "" and missing_spelling(text) == text.strip()


@pytest.mark.parametrize("text", ["none", "NONE", "Nan Goldin", "0", "-5", "A-", "na\u00efve", "$"])
def test_values_that_resemble_a_missing_one(text):
    assert cell_text(text) == text and missing_spelling(text) == ""


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("\ud800", "lone surrogate"),
        ({"a": 1}, "is nested"),
        (["a", ["b"]], "is nested"),
        (b"\xff\x00", "is binary"),
        ("x" * 100_001, "is longer than 100000 characters"),
        (Unreadable("date"), "is an unreadable date"),
    ],
)
def test_cells_without_a_text(value, reason):
    with pytest.raises(CellError, match=reason):
        cell_text(value)
