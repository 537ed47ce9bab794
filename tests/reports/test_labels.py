import numpy as np
from PIL import Image

from fashionfae_lavis.reports.labels import draw_risk_coverage, labels_table, weak_attributes

FIGURES = {
    "values": 12,
    "products": 340,
    "way": "AETP with text",
    "accuracy": 84.04,
    "calibration_error": 2.55,
    "coverage": 61.0,
    "threshold": "0.712",
    "majority": 22.0,
    "chance": 100 / 12,
}


def test_an_attribute_is_weak_up_to_five_points_above_the_most_frequent_value():
    others = {"colour": FIGURES, "usage": {**FIGURES, "majority": 79.04}, "season": {**FIGURES, "majority": 79.03}}
    assert weak_attributes(others) == ["usage"]


def test_the_table_has_a_row_for_each_attribute():
    lines = labels_table({"colour": FIGURES, "article type": {**FIGURES, "way": "ITC"}}).splitlines()
    assert lines[0].split("  ")[0] == "attribute" and len(lines) == 4 and len({*map(len, lines)}) == 1
    assert lines[2].split() == [
        "colour",
        "12",
        "340",
        "AETP",
        "with",
        "text",
        "84.0",
        "2.5",
        "61.0",
        "0.712",
        "22.0",
        "8.3",
    ]
    assert lines[3].split()[:5] == ["article", "type", "12", "340", "ITC"]


def test_the_curves_are_drawn(tmp_path):
    coverage = np.array([0.1, 0.5, 1.0])
    path = tmp_path / "curve.png"
    draw_risk_coverage({"colour": (coverage, np.array([0.0, 0.0, 0.0]))}, path)
    flat = np.asarray(Image.open(path).convert("RGB")).astype(int)
    draw_risk_coverage({"colour": (coverage, np.array([0.0, 0.2, 0.4]))}, path)
    assert np.abs(np.asarray(Image.open(path).convert("RGB")).astype(int) - flat).max() > 100
    assert list(tmp_path.iterdir()) == [path]
