import matplotlib.pyplot as plt
import pytest
from matplotlib.container import BarContainer

from fashionfae_lavis.reports.attribute_chart import draw_attribute_chart


@pytest.fixture
def figure(monkeypatch):
    """Keeps the figure that is drawn."""
    kept = []
    monkeypatch.setattr(plt, "close", kept.append)
    yield kept
    monkeypatch.undo()
    plt.close("all")


def bars(axis):
    """Lengths of all bars, as they were drawn."""
    return [bar.get_width() for bars in axis.containers if isinstance(bars, BarContainer) for bar in bars]


def share(accuracy):
    return {"accuracy": accuracy, "half_width": 2.0, "n": 100}


def row(seen, itc, pairs, **more):
    return {
        "seen": seen,
        "values": 4,
        "chance": 25.0,
        "majority": 30.0,
        "itc": share(itc),
        "pairs": share(pairs),
        **more,
    }


def test_most_accurate_first_and_unseen_ones_last(figure, tmp_path):
    attributes = {
        "season": row(False, 26.0, 99.0),
        "neckline": row(True, 40.0, 60.0, aetp=share(50.0), aetp_prompt_only=share(35.0)),
        "colour": row(True, 95.0, 98.0),
    }
    draw_attribute_chart(attributes, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").stat().st_size > 10_000
    values, pairs = figure[0].axes
    assert [label.get_text() for label in values.get_yticklabels()] == ["colour  (4)", "neckline  (4)", "season  (4)"]
    assert bars(pairs) == [98.0, 60.0, 99.0]
    assert sorted(bars(values)) == [26.0, 35.0, 40.0, 50.0, 95.0]


def test_without_aetp_and_pairs(figure, tmp_path):
    attributes = {"colour": {key: value for key, value in row(True, 95.0, 98.0).items() if key != "pairs"}}
    draw_attribute_chart(attributes, tmp_path / "chart.png")
    (legend,) = figure[0].legends
    assert not any("AETP" in text.get_text() for text in legend.get_texts())
