"""Reproducing a figure with a command that takes no time."""

import sys

import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.figures.reproduce import list_figures, reproduce

MEASURE = """
import json, pathlib, sys
folder = pathlib.Path("output/recall/20260131_000000")
if sys.argv[1] != "nothing":
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps({"val": {"r1": float(sys.argv[1]), "n": 3}}))
"""
ENTRIES = """
entries:
  recall:
    {status: measured, what: Recall of a program, command: python measure.py VALUE, output: output/recall,
     commit: abc1234, hardware: one core, date: 2026-01-31, tolerance: 0.1, figures: {val: {r1: 61.66, n: 3}}}
  printed:
    {status: measured, what: Time, command: python time.py, commit: abc1234, hardware: one core, date: 2026-01-31,
     figures: {seconds: 1.0}}
  paper: {status: quoted, what: Recall, source: table 1, figures: {r1: 50.0}}
tables: {}
"""


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """Makes a working directory with a results.yml; call it with the value that the command finds."""

    def make(value, figures="n: 3}"):
        (tmp_path / "measure.py").write_text(MEASURE)
        (tmp_path / "results.yml").write_text(ENTRIES.replace("VALUE", str(value)).replace("n: 3}", figures))
        monkeypatch.chdir(tmp_path)

    return make


def test_figures_within_the_tolerance_agree(clone, capfd):
    clone(61.60)
    assert reproduce("recall")
    lines = capfd.readouterr().out.splitlines()
    assert [line.split() for line in lines if line.startswith("val.")] == [
        ["val.r1", "61.66", "61.6000"],
        ["val.n", "3", "3.0000"],
    ]
    assert "tolerance 0.1" in "\n".join(lines)


def test_a_figure_beyond_the_tolerance_differs(clone, capfd):
    clone(61.50)
    assert not reproduce("recall")
    out = capfd.readouterr().out
    assert "61.5000  DIFFERS" in out
    assert "1 of 2 figures agree" in out


def test_a_figure_that_the_run_lacks_differs(clone, capfd):
    clone(61.66, "n: 3, sub.r1: 1.0}")
    assert not reproduce("recall")
    assert "missing  DIFFERS" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("recall", "much", "The command of `recall` failed with exit status 1"),
        ("recall", "nothing", "wrote no results.json below output/recall"),
        ("printed", 1, "`printed` writes no results.json: run `python time.py`"),
        ("paper", 1, "`paper` is quoted from table 1"),
        ("recalls", 1, "no entry 'recalls'; did you mean recall"),
    ],
)
def test_what_cannot_be_reproduced_is_one_sentence(clone, name, value, message):
    clone(value)
    with pytest.raises(UserError, match=message):
        reproduce(name)


def test_the_list_names_what_can_be_run(clone):
    clone(1)
    assert list_figures() == "recall  Recall of a program (one core)"


def test_the_command_runs_with_this_python(clone, tmp_path):
    clone(61.66)
    (tmp_path / "measure.py").write_text(f"import sys; assert sys.executable == {sys.executable!r}\n{MEASURE}")
    assert reproduce("recall")
