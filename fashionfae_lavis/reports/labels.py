"""How far labels can be trusted: a table of figures, and risk-coverage curves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fashionfae_lavis.reports.pictures import pyplot, save_picture
from fashionfae_lavis.reports.tables import text_table

COLUMNS = {
    "values": "values",
    "products": "products",
    "way": "way",
    "accuracy": "accuracy",
    "calibration_error": "calibration error",
    "coverage": "coverage at 95 %",
    "threshold": "from confidence",
    "majority": "most frequent",
    "chance": "chance",
}
ACCEPTED = 5  # percent of wrong answers, the dotted line
GAIN = 5  # percentage points of accuracy that make a label worth more than the most frequent value


def labels_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Formats the figures of each attribute, shares in percent.

    Args:
        figures: attribute -> the keys of `COLUMNS`.
    """
    rows = [[name, *(_cell(one[key]) for key in COLUMNS)] for name, one in figures.items()]
    return text_table(["attribute", *COLUMNS.values()], rows)


def weak_attributes(figures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Returns the attributes whose accuracy is at most `GAIN` points above always naming the most frequent value.

    >>> weak_attributes({"colour": {"accuracy": 31.0, "majority": 30.0}, "fit": {"accuracy": 95.2, "majority": 35.2}})
    ['colour']
    """
    return [name for name, one in figures.items() if one["accuracy"] <= one["majority"] + GAIN]


def _cell(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def draw_risk_coverage(curves: Mapping[str, tuple[Any, Any]], path: Path) -> None:
    """Draws one curve for each attribute.

    Args:
        curves: attribute -> coverage and risk, (N,) each, 0 to 1.
        path: PNG to write.

    Raises:
        UserError: the file cannot be written.
    """
    figure, axis = pyplot().subplots(figsize=(7, 4.5), layout="constrained")
    for name, (coverage, risk) in curves.items():
        axis.step(100 * coverage, 100 * risk, where="post", linewidth=1.8, label=name)
    axis.axhline(ACCEPTED, color="#666666", linewidth=1, linestyle=(0, (1, 1.5)))
    axis.set(xlim=(0, 100), ylim=(0, None))
    axis.set_xlabel("products labelled, most certain first (coverage)")
    axis.set_ylabel("wrong labels (risk)")
    for each in (axis.xaxis, axis.yaxis):
        each.set_major_formatter("{x:.0f} %")
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    save_picture(figure, path, dpi=150)
