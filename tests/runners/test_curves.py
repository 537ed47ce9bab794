import numpy as np
from PIL import Image

from fashionfae_lavis.runners.curves import draw_curves, smooth
from fashionfae_lavis.runners.logs import RunLog


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
