import numpy as np
import pytest
from PIL import Image

from fashionfae_lavis.reports.confusion import draw_confusion, most_errors


@pytest.mark.parametrize("classes", [1, 2, 10, 121])
def test_a_picture_for_any_number_of_classes(tmp_path, classes):
    rng = np.random.default_rng(0)
    confusion = rng.integers(0, 9, (classes, classes)) + 50 * np.eye(classes, dtype=int)
    if classes > 1:
        confusion[1] = 0  # a class without examples
    draw_confusion([f"SUBCATEGORY {i}" for i in range(classes)], confusion, tmp_path / "a.png")
    width, height = Image.open(tmp_path / "a.png").size
    assert 300 < width < 2500 and 300 < height < 2500


def test_the_diagonal_is_dark_where_all_is_right(tmp_path):
    draw_confusion(list("abc"), np.diag([3, 4, 5]), tmp_path / "right.png")
    draw_confusion(list("abc"), np.roll(np.diag([3, 4, 5]), 1, 1), tmp_path / "wrong.png")
    right, wrong = (np.asarray(Image.open(tmp_path / f"{name}.png").convert("L"), float) for name in ("right", "wrong"))
    assert right.shape == wrong.shape
    dark = (right < 100) & (wrong > 200)
    rows, columns = np.nonzero(dark)
    # dark cells that are light in the other picture lie on the falling diagonal
    assert len(rows) > 1000 and np.corrcoef(rows, columns)[0, 1] > 0.8


def test_the_classes_with_the_most_errors_are_kept_and_all_other_predictions_summed_up():
    confusion = np.array([[9, 0, 0, 1], [0, 5, 3, 1], [0, 4, 6, 0], [2, 0, 0, 7]])
    names, kept = most_errors(["a", "b", "c", "d"], confusion, 2)
    assert names == ["b", "c", "other classes"]
    assert kept.tolist() == [[5, 3, 1], [4, 6, 0]]
    assert kept.sum() == confusion[1:3].sum()
