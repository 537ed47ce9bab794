"""Comparison with golden numbers; test_full_size.py compares the models."""

from pathlib import Path

import numpy as np
import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.golden import compare_golden, golden_comparison
from fashionfae_lavis.golden.compare_golden import compute, read_golden, report, seed_of
from fashionfae_lavis.golden.golden_comparison import (
    compare_entry,
    compare_metrics,
    gradient_difference,
    metric_sets,
)

DATA = Path(__file__).parents[1] / "data"
METRICS = read_golden(DATA / "golden_metrics.npz")


@pytest.mark.parametrize("name", ["metrics.a", "metrics.b", "metrics.c"])
def test_retrieval_metrics_agree(name, monkeypatch):
    monkeypatch.setattr(golden_comparison, "EVALUATIONS", 20)  # the tolerance follows from their number
    golden = {f"metrics.{key}": value for key, value in METRICS.items()}
    assert name in metric_sets(golden)
    rows, skipped = compare_metrics(golden, name)
    assert [row.name.split(".")[-1] for row in rows] == ["general"] + ["kaleido_mean"] * (name != "metrics.c")
    assert all(row.ok for row in rows), rows
    assert bool(skipped) == (name == "metrics.c")


def test_tolerances_follow_the_kind_of_entry():
    one = np.ones(3, np.float32)
    assert compare_entry("text.final_slice", one + np.float32(4e-5), one).ok
    assert not compare_entry("text.final_slice", one + np.float32(6e-5), one).ok
    assert not compare_entry("itc.loss", one[0] + np.float32(3e-5), one[0]).ok
    assert not compare_entry("apir.vq_target", np.array([1, 2]), np.array([1, 3])).ok
    assert not compare_entry("cls.logits", one[:2], one).ok
    assert not compare_entry("cls.logits", one * np.nan, one).ok


def test_gradient_norms_are_compared_relatively_and_must_exist_on_both_sides():
    expected = np.array([1.0, 1e-9, np.nan])
    assert gradient_difference(expected, expected) == 0
    assert gradient_difference(np.array([1.0, 3e-9, np.nan]), expected) == pytest.approx(
        2e-4
    )  # rounding, not a gradient
    assert gradient_difference(np.array([1.01, 1e-9, np.nan]), expected) == pytest.approx(0.01)
    assert gradient_difference(np.array([1.0, 1e-9, 0.0]), expected) == np.inf
    assert gradient_difference(np.array([np.nan, 1e-9, np.nan]), expected) == np.inf


def test_the_seed_is_the_file_s_own_or_its_name_s():
    assert seed_of({"seed": np.array([7])}, "golden_seed3.npz") == 7
    assert seed_of({"in.seed": np.array(5)}, "x.npz") == 5
    assert seed_of({}, "some/golden_seed31.npz") == 31
    assert seed_of({}, "x.npz") == 0


def test_one_line_per_entry_and_the_number_of_failures(capsys):
    golden = {f"metrics.{k}": v for k, v in METRICS.items() if k.startswith("a.") and "kaleido" not in k}
    assert report({**golden, "other": np.zeros(2)}, seed=9) == 0
    out = capsys.readouterr().out
    assert "metrics.a.general" in out.splitlines()[0] and out.splitlines()[0].endswith("ok")
    assert "not compared: unknown entry" in out and "seed 9: 1 entries compared, 0 FAIL" in out
    golden["metrics.a.general"] = golden["metrics.a.general"] + 0.01
    assert report(golden, seed=9) == 1
    assert "FAIL" in capsys.readouterr().out


def test_entries_that_the_file_lacks_are_named(capsys, monkeypatch):
    golden = {"in.input_ids": np.zeros((2, 3)), "itc.loss": np.float32(1.0)}
    computed = {"itc.loss": np.float32(1.0), "cls.logits": np.zeros(3)}
    monkeypatch.setattr(compare_golden, "compute", lambda *_: computed)
    assert report(golden, seed=0) == 0
    assert "cls.logits                       skipped: not in the file" in capsys.readouterr().out


def test_a_file_of_another_format_is_one_sentence(tmp_path):
    path = tmp_path / "golden.npz"
    for content in (b"", b"just text", (DATA / "golden_seed0.npz").read_bytes()[:1000]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"^{path} is not an npz file of golden numbers.$"):
            read_golden(path)
    with pytest.raises(UserError, match="lacks the inputs in.input_ids"):
        compute({"in.input_mask": np.zeros((1, 1))}, 0)
    manifest = tmp_path / "manifest.json"
    manifest.write_text("{}")
    with pytest.raises(UserError, match="is not a manifest"):
        compute({"in.input_ids": np.zeros((1, 1)), "in.input_mask": np.zeros((1, 1))}, 0, manifest)
