"""Reading results.yml."""

import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.figures.results import Figure, load_results

MEASURED = """
entries:
  recall:
    what: Recall
    status: measured
    command: python measure.py
    output: output/recall
    commit: abc1234
    hardware: one core
    seeds: [0, 1]
    date: 2026-01-31
    tolerance: 0.1
    figures: {val: {r1: 61.66, r5: [91.07, 0.5]}, images: 3023, missing: null}
  paper:
    what: A paper's recall
    status: quoted
    source: table 1
    figures: {val.r1: 27.99}
tables:
  recalls:
    corner: system
    columns: {R@1: r1}
    rows: {ours: recall.val.*, theirs: paper.val.*}
"""


def load(folder, text):
    path = folder / "results.yml"
    path.write_text(text)
    return load_results(path)


def test_figures_are_found_by_dotted_path(tmp_path):
    entry = load(tmp_path, MEASURED).entry("recall")
    assert entry.figures["val.r1"] == Figure(61.66)
    assert entry.figures["val.r5"] == Figure(91.07, 0.5)
    assert entry.seeds == (0, 1)


def test_figures_as_text(tmp_path):
    figures = load(tmp_path, MEASURED).entry("recall").figures
    texts = {path: figure.text(".1f") for path, figure in figures.items()}
    assert texts == {"val.r1": "61.7", "val.r5": "91.1 ± 0.5", "images": "3,023", "missing": "-"}


def test_an_unknown_entry_proposes_the_near_one(tmp_path):
    with pytest.raises(UserError, match="no entry 'recal'; did you mean recall"):
        load(tmp_path, MEASURED).entry("recal")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    what: Recall\n", "", "`recall` lacks the key `what`"),
        ("tolerance: 0.1", "tolerence: 0.1", "`recall` has the unknown key `tolerence`"),
        ("    commit: abc1234\n", "", "`recall` is measured and lacks the key `commit`"),
        ("    tolerance: 0.1\n", "", "`recall` is measured and lacks the key `tolerance`"),
        ("    source: table 1\n", "", "`paper` is quoted and lacks the key `source`"),
        ("status: quoted", "status: guessed", "`paper.status` must be measured or quoted, not 'guessed'"),
        ("r1: 61.66", "r1: much", "`recall.figures.val.r1` must be a number"),
        ("r1: 61.66", "r1: [1, 2, 3]", "`recall.figures.val.r1` must be a number"),
        ("columns: {R@1: r1}", "columns: [R@1]", "row 'ours' of table `recalls` is a path"),
        ("ours: recall.val.*", "ours: [a, b]", "row 'ours' of table `recalls` needs 1 cells"),
        ("tables:", "table:", "must hold the two mappings"),
        ("entries:", "entries: [", "is not valid yaml"),
        ("entries:", f"entries: {'9' * 5000}\nother:", "is not valid yaml"),
        ("entries:", f"entries: {'[' * 10_000}\nother:", "is not valid yaml"),
        ("entries:", "entries: true\nother:", "must hold the two mappings"),
        ("  recall:\n", "  few: 3\n  recall:\n", "`few` must be a mapping, not a int"),
    ],
)
def test_a_malformed_file_is_one_sentence(tmp_path, old, new, message):
    assert old in MEASURED
    with pytest.raises(UserError, match=message.replace("[", r"\[")) as error:
        load(tmp_path, MEASURED.replace(old, new, 1))
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_utf_8_is_one_sentence(tmp_path):
    (tmp_path / "results.yml").write_bytes(MEASURED.encode().replace(b"Recall", b"R\xe9call"))
    with pytest.raises(UserError, match="is not valid yaml: 'utf-8' codec"):
        load_results(tmp_path / "results.yml")


def test_outside_a_clone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="run this command in the root of a clone"):
        load_results()
