import csv
import io

import pytest

from fashionfae_lavis.compare.figure import draw_comparison
from fashionfae_lavis.compare.finished import Row
from fashionfae_lavis.compare.outcomes import Outcome
from fashionfae_lavis.compare.table import csv_table, markdown_tables, paired, spread

PAIRS, ACCURACY, RETRIEVAL = "probe.pairs", "recognition.accuracy", "retrieval.description.full.mean"


def rows():
    """Two seeds of three systems, the last of which has no recognition."""
    figures = {
        "base": [(100, 60.0, 90.0), (100, 64.0, 80.0)],
        "better": [(150, 63.0, 70.0), (150, 65.0, 74.0)],
        "other": [(90, 50.0, None), (90, 52.0, None)],
    }
    found = []
    for system, seeds in figures.items():
        for seed, (parameters, pairs, accuracy) in enumerate(seeds):
            row = Row(system, seed, {"parameters": parameters * 1000})
            row.add(Outcome("attribute probe", {"split": "val"}, {PAIRS: pairs}, {PAIRS: 50.0}))
            if accuracy is not None:
                row.add(Outcome("recognition", {"split": "val"}, {ACCURACY: accuracy}))
            found.append(row)
    return found


def cells(table, first):
    """The cells after the first of the line that begins with it."""
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_spread_is_that_of_a_sample():
    assert spread([1.0, 3.0]) == pytest.approx(2**0.5) and spread([5.0]) is None and spread([]) is None


def test_differences_are_taken_seed_by_seed():
    base, better = rows()[:2], rows()[2:4]
    assert paired(better, base, PAIRS) == [3.0, 1.0]
    assert paired(better[::-1], base, PAIRS) == [1.0, 3.0]
    assert paired(better, base[1:], PAIRS) == [1.0] and paired(better, rows()[4:], ACCURACY) == []


def test_main_figures():
    main = markdown_tables(rows()).split("\n\n")[0]
    assert main.splitlines()[0] == "| system | parameters trained | recognition, accuracy | probe, pairs |"
    assert main.splitlines()[1] == "| --- | ---: | ---: | ---: |"
    assert cells(main, "base") == ["100,000", "**85.00** ± 7.07", "62.00 ± 2.83"]
    assert cells(main, "better") == ["150,000", "72.00 ± 2.83", "**64.00** ± 1.41"]
    assert cells(main, "other") == ["90,000", "-", "51.00 ± 1.41"]
    assert cells(main, "chance") == ["-", "-", "50.00"]


def test_who_is_ahead_and_the_differences_to_the_first():
    _, leaders, differences = markdown_tables(rows()).split("\n\n")
    assert cells(leaders, "probe, pairs") == ["better", "+2.00 ± 1.41", "base"]
    assert cells(leaders, "recognition, accuracy") == ["base", "+13.00 ± 9.90", "better"]
    assert cells(differences, "better") == ["-13.00 ± 9.90", "+2.00 ± 1.41"]
    assert cells(differences, "other") == ["-", "-11.00 ± 1.41"]


def test_all_recalls_stand_by_text_and_test():
    recalls = [f"{way}_r{k}" for way in ("i2t", "t2i") for k in (1, 5, 10)] + ["mean"]
    names = [f"retrieval.description.{test}.{name}" for test in ("full", "reranked_16") for name in recalls]
    figures = {name: float(place) for place, name in enumerate(names)}
    row = Row("A", 0)
    row.add(Outcome("retrieval", {}, figures, {name: 0.5 for name in names[:7]}))
    table = markdown_tables([row])
    lines = [line.strip("| ").split(" | ") for line in table.split("\n\n")[1].splitlines()[2:]]
    assert lines == [
        ["description, full test", "A", *(f"{value}.00" for value in range(7))],
        ["description, full test", "chance", *["0.50"] * 7],
        ["description, top re-ranked by ITM: 16", "A", *(f"{value}.00" for value in range(7, 14))],
    ]


def test_csv_has_every_seed_mean_and_deviation():
    header, *lines = csv.reader(io.StringIO(csv_table(rows())))
    assert header == ["system", "seed", "parameters", PAIRS, ACCURACY]
    assert lines[:3] == [
        ["base", "0", "100000", "60.0", "90.0"],
        ["base", "1", "100000", "64.0", "80.0"],
        ["base", "mean", "100000.0", "62.0", "85.0"],
    ]
    assert lines[3][:3] == ["base", "standard deviation", "0.0"]
    assert float(lines[3][3]) == pytest.approx(8**0.5)
    assert lines[-1][-1] == "" and len(lines) == 12
    (single,) = list(csv.reader(io.StringIO(csv_table(rows()[:1]))))[1:]
    assert single == ["base", "0", "100000", "60.0", "90.0"]


def test_the_picture(tmp_path):
    assert not draw_comparison([Row("A", 0, {"updates": 3})], "nothing", tmp_path / "nothing.png")
    assert draw_comparison(rows(), "three systems", tmp_path / "figure.png")
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]
    import matplotlib.image

    image = matplotlib.image.imread(tmp_path / "figure.png")[..., :3]
    for colour in ("#8a8f98", "#2a6f97", "#c8553d"):  # a bar for each system
        rgb = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        assert (abs(image - rgb).max(-1) < 0.01).sum() > 500, colour
