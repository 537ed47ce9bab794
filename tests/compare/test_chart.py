import matplotlib.image
from comparison_rows import comparison_rows

from fashionfae_lavis.compare.chart import draw_comparison
from fashionfae_lavis.compare.finished import Row


def test_it_has_a_bar_for_each_system(tmp_path):
    assert not draw_comparison([Row("A", 0, {"updates": 3})], "nothing", tmp_path / "nothing.png")
    assert draw_comparison(comparison_rows(), "three systems", tmp_path / "figure.png")
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]
    image = matplotlib.image.imread(tmp_path / "figure.png")[..., :3]
    for colour in ("#8a8f98", "#2a6f97", "#c8553d"):
        rgb = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        assert (abs(image - rgb).max(-1) < 0.01).sum() > 500, colour
