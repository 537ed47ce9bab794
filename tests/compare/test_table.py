import csv
import io
import re

import numpy as np
import pytest
from comparison_rows import ACCURACY, PAIRS, comparison_rows

from fashionfae_lavis.compare.finished import Row
from fashionfae_lavis.compare.outcomes import Outcome
from fashionfae_lavis.compare.table import csv_table, deviation, markdown_tables, paired_differences


def cells(table, first):
    """Returns the cells of the line that starts with `first`, without that cell."""
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_deviation_is_that_of_a_sample():
    assert deviation([1.0, 3.0]) == pytest.approx(2**0.5) and deviation([5.0]) is None and deviation([]) is None


def test_differences_are_taken_seed_by_seed():
    base, better = comparison_rows()[:2], comparison_rows()[2:4]
    assert paired_differences(better, base, PAIRS) == [3.0, 1.0]
    assert paired_differences(better[::-1], base, PAIRS) == [1.0, 3.0]
    assert (
        paired_differences(better, base[1:], PAIRS) == [1.0]
        and paired_differences(better, comparison_rows()[4:], ACCURACY) == []
    )


def test_main_figures():
    main = markdown_tables(comparison_rows()).split("\n\n")[0]
    assert main.splitlines()[0] == "| system | trained parameters | recognition, accuracy | probe, pairs |"
    assert main.splitlines()[1] == "| --- | ---: | ---: | ---: |"
    assert cells(main, "base") == ["100,000", "**85.00** ± 7.07", "62.00 ± 2.83"]
    assert cells(main, "better") == ["150,000", "72.00 ± 2.83", "**64.00** ± 1.41"]
    assert cells(main, "other") == ["90,000", "-", "51.00 ± 1.41"]
    assert cells(main, "chance") == ["-", "-", "50.00"]


def test_leaders_and_the_differences_to_the_first_system():
    _, leaders, differences = markdown_tables(comparison_rows()).split("\n\n")
    assert cells(leaders, "probe, pairs") == ["better", "+2.00 ± 1.41", "base"]
    assert cells(leaders, "recognition, accuracy") == ["base", "+13.00 ± 9.90", "better"]
    assert cells(differences, "better - base") == ["-13.00 ± 9.90", "+2.00 ± 1.41"]
    assert cells(differences, "other - base") == ["-", "-11.00 ± 1.41"]


def test_differences_of_chosen_pairs_with_their_interval_over_products():
    rows = comparison_rows()
    for row in rows:
        right = row.figures[PAIRS] / 100 * 50
        row.hits[PAIRS] = (np.arange(50)[:, None] < right).astype(np.float32)
    table = markdown_tables(rows, [("better", "other"), ("other", "base")]).split("\n\n")[-1]
    accuracy, pairs = cells(table, "better - other")
    found = re.fullmatch(r"\+13\.00 ± 0\.00 \[\+(.+), \+(.+)\]", pairs)
    assert accuracy == "-" and found, pairs
    assert float(found[1]) < 13 < float(found[2])
    assert cells(table, "other - base")[1].startswith("-11.00 ± 1.41 [-")


def test_recalls_have_a_line_for_each_text_test_and_system():
    recalls = [f"{way}_r{k}" for way in ("i2t", "t2i") for k in (1, 5, 10)] + ["mean"]
    names = [f"retrieval.description.{test}.{name}" for test in ("full", "reranked_16") for name in recalls]
    figures = {name: float(index) for index, name in enumerate(names)}
    row = Row("A", 0)
    row.add(Outcome("retrieval", {}, figures, {name: 0.5 for name in names[:7]}))
    table = markdown_tables([row])
    lines = [line.strip("| ").split(" | ") for line in table.split("\n\n")[1].splitlines()[2:]]
    assert lines == [
        ["description, full test", "A", *(f"{value}.00" for value in range(7))],
        ["description, full test", "chance", *["0.50"] * 7],
        ["description, top 16 re-ranked by ITM", "A", *(f"{value}.00" for value in range(7, 14))],
    ]


def test_csv_has_every_seed_mean_and_deviation():
    header, *lines = csv.reader(io.StringIO(csv_table(comparison_rows())))
    assert header == ["system", "seed", "parameters", PAIRS, ACCURACY]
    assert lines[:3] == [
        ["base", "0", "100000", "60.0", "90.0"],
        ["base", "1", "100000", "64.0", "80.0"],
        ["base", "mean", "100000.0", "62.0", "85.0"],
    ]
    assert lines[3][:3] == ["base", "standard deviation", "0.0"]
    assert float(lines[3][3]) == pytest.approx(8**0.5)
    assert lines[-1][-1] == "" and len(lines) == 12
    (single,) = list(csv.reader(io.StringIO(csv_table(comparison_rows()[:1]))))[1:]
    assert single == ["base", "0", "100000", "60.0", "90.0"]
