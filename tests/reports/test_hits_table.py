import unicodedata

import pytest

from fashionfae_lavis.reports.hits_table import HitLine, columns, cut, hits_table, printable

LINES = [
    HitLine(0.91234, "15970", "Turtle Check Men Navy Blue Shirt", ["navy blue", "shirts", "price 59.5"]),
    HitLine(0.5, "ドレス-1", "赤いリネンのドレス" * 5, ["red", "linen"], also=["7", "8"]),
    HitLine(-0.25, "3", "فستان كتان أحمر", [], match=0.75),
    HitLine(0.1, "x" * 60, "👗 cafe\u0301 dress\x1b[31m\nsecond line\u202e", ["a" * 200]),
]


def test_a_table_that_fits_is_aligned():
    assert hits_table(LINES[:1] + [HitLine(0.5, "1", "Skirt", ["red"], also=["7", "8"])], 100, first=11) == (
        "#   score  id     title                             attributes\n"
        "11  0.912  15970  Turtle Check Men Navy Blue Shirt  navy blue, shirts, price 59.5\n"
        "12  0.500  1      Skirt                             red, [also 7, 8]"
    )


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width):
    table = hits_table(LINES, width).split("\n")
    assert len(table) == 5
    assert max(map(columns, table)) <= width


@pytest.mark.parametrize("width", [60, 80, 200])
def test_columns_begin_at_the_same_place_in_all_lines(width):
    table = hits_table(LINES, width).split("\n")
    start = columns(table[0][: table[0].index("title")])
    for line, title in zip(table[1:], ("Turtle", "赤", "فستان", "👗"), strict=True):
        assert columns(line[: line.index(title)]) == start


def test_a_narrow_terminal_still_gets_every_column():
    assert "title" in hits_table(LINES, 10) and "attr" in hits_table(LINES, 10)


def test_matches_have_a_column_if_there_are_any():
    assert "match" not in hits_table(LINES[:2], 100)
    header, *_, line = hits_table(LINES[:3], 100).split("\n")
    assert header.split() == ["#", "score", "match", "id", "title", "attributes"]
    assert line.split()[:4] == ["3", "-0.250", "0.750", "3"]


def test_nothing_that_commands_a_terminal_is_printed():
    table = hits_table(LINES, 200)
    assert not [c for c in table if unicodedata.category(c) == "Cc" and c != "\n"]
    assert "\u202e" not in table
    assert printable("a\x1b[31m\tb\u202ec\r\n") == "a [31m b c"


def test_right_to_left_text_is_isolated():
    line = hits_table(LINES[2:3], 100).split("\n")[1]
    assert "\u2068فستان كتان أحمر\u2069" in line


@pytest.mark.parametrize("width", range(1, 12))
def test_a_cut_text_takes_no_more_than_its_columns(width):
    for text in ("navy linen dress", "赤いリネン", "e\u0301" * 20, "👗👗👗👗👗👗👗"):
        assert columns(cut(text, width)) <= width
    assert cut("dress", 5) == "dress"
