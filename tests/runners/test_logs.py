import json

import numpy as np
from PIL import Image

from fashionfae_lavis.runners.curves import draw_curves, smooth
from fashionfae_lavis.runners.logs import RunLog, read_metrics


def test_lines_hold_means_and_continue_after_a_broken_one(tmp_path):
    with RunLog(tmp_path, 0, 4) as log:
        log.add_losses({"loss": 1.0, "loss_itc": 1.0})
        log.add_losses({"loss": 3.0, "loss_itm": 3.0})
        log.write_losses(2, 0.1)
        log.write_results("validation", 2, "val", {"agg_metrics": np.float32(0.5), "by": {"skirt": [1, 2]}})
        log.add_losses({"loss": 9.0})
        log.write_losses(3, 0.1)
        log.write_results("test", 2, "val", {"r1": 1})
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + '{"phase": "tra')
    with RunLog(tmp_path, 2, 4) as log:
        log.add_losses({"loss": 5.0})
        log.write_losses(3, 0.01)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["phase"], line["iteration"]) for line in lines] == [
        ("train", 2),
        ("validation", 2),
        ("train", 3),
    ]
    assert (lines[0]["loss"], lines[0]["loss_itc"], lines[0]["loss_itm"]) == (2.0, 1.0, 3.0)
    assert lines[1]["agg_metrics"] == 0.5 and lines[1]["by"] == {"skirt": [1, 2]}
    assert lines[2]["loss"] == 5.0 and lines[2]["lr"] == 0.01
    with RunLog(tmp_path) as log:  # nothing is dropped
        log.write_results("test", 2, "val", {"r1": 1})
    assert len(read_metrics(path)) == 4
    assert read_metrics(tmp_path / "nothing") == []


def test_curves_are_drawn_with_one_panel_per_objective(tmp_path):
    names = ("loss_itc", "loss_itm", "loss_mlm", "loss_aetp", "loss_apir")
    with RunLog(tmp_path, 0) as log:
        for iteration in range(1, 31):
            log.add_losses({"loss": 1 / iteration, names[iteration % 5]: 1 / iteration})
            log.write_losses(iteration, 0.1)
        log.write_results("validation", 30, "val", {"agg_metrics": 12.0})
    draw_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png")
    assert Image.open(tmp_path / "curves.png").size == (2184, 754)  # 7 panels: two rows of four
    draw_curves(tmp_path / "nothing", tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_smoothing_keeps_constants_and_does_not_lag():
    assert np.allclose(smooth(np.full(100, 3.0)), 3.0)
    slope = np.arange(100.0)
    assert np.allclose(smooth(slope)[10:-10], slope[10:-10])
    assert smooth(np.array([5.0, 1.0])).tolist() == [5.0, 1.0]
