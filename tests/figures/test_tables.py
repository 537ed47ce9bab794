"""Tables of results.yml in Markdown files."""

from pathlib import Path

import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.figures.results import Entry, Figure, Results, Table, load_results
from fashionfae_lavis.figures.tables import render_table, with_tables, write_tables

ROOT = Path(__file__).parents[2]
ENTRIES = {
    "ours": Entry("ours", "what", "measured", {"full.r1": Figure(61.66), "full.r5": Figure(91.0, 0.5)}, cost="12 s"),
    "chance": Entry("chance", "what", "measured", {"r1": Figure(0.1), "r5": Figure(None)}),
}
COLUMNS = {"R@1": "r1", "R@5": "r5"}
TABLES = {
    "recalls": Table("recalls", "system", COLUMNS, {"ours": "ours.full.*", "chance": "chance.*"}),
    "texts": Table("texts", "", ["both", "time"], {"a": ["{ours.full.r1} / {chance.r1}", "{ours@cost}"]}, ".1f"),
    "broken": Table("broken", "", COLUMNS, {"ours": "ours.sub.*"}),
}
RESULTS = Results(ENTRIES, TABLES)
RENDERED = """\
| system | R@1 | R@5 |
| --- | ---: | ---: |
| ours | 61.66 | 91.00 ± 0.50 |
| chance | 0.10 | - |

*results.yml: `ours`, `chance`*"""
MARKED = "before\n<!-- table: recalls -->\n{}<!-- end table -->\nafter\n"


def test_rows_by_path():
    assert render_table(RESULTS, TABLES["recalls"]) == RENDERED


def test_rows_by_text():
    assert render_table(RESULTS, TABLES["texts"]).splitlines()[2] == "| a | 61.7 / 0.1 | 12 s |"


def test_an_unknown_figure_is_named():
    with pytest.raises(UserError, match="table `broken` shows {ours.sub.r1}, which `ours` does not have"):
        render_table(RESULTS, TABLES["broken"])


@pytest.mark.parametrize("before", ["", "\n| old |\n"])
def test_only_the_part_between_the_marks_is_replaced(before):
    assert with_tables(MARKED.format(before), RESULTS, "a.md") == MARKED.format(f"\n{RENDERED}\n\n")


@pytest.mark.parametrize(
    "text", ["<!-- table: recalls -->\n", "<!-- end table -->", MARKED.format("") * 2 + "<!-- end table -->"]
)
def test_marks_must_be_in_pairs(text):
    with pytest.raises(UserError, match="a.md: each `<!-- table: NAME -->` needs"):
        with_tables(text, RESULTS, "a.md")


def test_an_unknown_table_is_named():
    with pytest.raises(UserError, match="a.md: results.yml has no table `other`"):
        with_tables(MARKED.format("").replace("recalls", "other"), RESULTS, "a.md")


def test_checking_changes_nothing(tmp_path):
    (tmp_path / "docs" / "more").mkdir(parents=True)
    readme, page = tmp_path / "README.md", tmp_path / "docs" / "more" / "page.md"
    readme.write_text("no table\n")
    page.write_text(MARKED.format(""))
    assert write_tables(RESULTS, tmp_path, check=True) == [page]
    assert page.read_text() == MARKED.format("")
    assert write_tables(RESULTS, tmp_path) == [page]
    assert RENDERED in page.read_text()
    assert write_tables(RESULTS, tmp_path, check=True) == []


def test_the_tables_of_this_repository_are_up_to_date(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert write_tables(load_results(), check=True) == []
