"""A chart of the attribute probe: the accuracy for each attribute, next to chance."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fashionfae_lavis.reports.pictures import pyplot, save_picture

SERIES = (
    ("itc", "ITC, photo only", "#2a6f97"),
    ("aetp_prompt_only", "AETP, photo only", "#c8553d"),
    ("aetp", "AETP, photo + text", "#e9a888"),
)
PAIRS = "#4c8c6b"
INK, GREY, BAND = "#222222", "#666666", "#f2f1ee"
BAR = 0.26  # thickness of a bar; attributes are 1 apart


def draw_attribute_chart(attributes: Mapping[str, dict[str, Any]], path: Path) -> None:
    """Draws bars for each attribute of the probe: ITC and AETP on the left, pairs on the right.

    The legend says whether the model sees the photograph only, or the rest of the product's text as well.

    Attributes that photographs show come first, sorted by the accuracy of pairs. The others follow on a shaded
    background. Whiskers are 95 % intervals. Solid lines show chance, dotted lines the most frequent value.

    Args:
        attributes: the `attributes` of a probe's result.
        path: PNG to write.
    """
    plt = pyplot()

    names = sorted(attributes, key=lambda name: (not attributes[name]["seen"], -_accuracy(attributes[name])))
    series = [one for one in SERIES if any(one[0] in attributes[name] for name in names)]
    figure, (values, pairs) = plt.subplots(
        1, 2, sharey=True, figsize=(11, 1.6 + 0.52 * len(names)), width_ratios=(1.7, 1), layout="constrained"
    )
    for line, name in enumerate(names):
        row = attributes[name]
        for number, (key, _, colour) in enumerate(series):
            _bar(values, line + (number - (len(series) - 1) / 2) * BAR, row.get(key), colour, BAR * 0.92)
        reach = len(series) * BAR / 2 + 0.04
        values.vlines(row["chance"], line - reach, line + reach, color=INK, linewidth=1.6, zorder=4)
        values.vlines(
            row["majority"], line - reach, line + reach, color=INK, linewidth=1.1, linestyle=(0, (1, 1)), zorder=4
        )
        _bar(pairs, line, row.get("pairs"), PAIRS, 2 * BAR)
    unseen = [line for line, name in enumerate(names) if not attributes[name]["seen"]]
    for axis in (values, pairs):
        if unseen:
            axis.axhspan(unseen[0] - 0.5, len(names) - 0.5, color=BAND, zorder=0)
        _plain(axis)
    pairs.axvline(50, color=INK, linewidth=1.6, zorder=4)
    if unseen:
        style = {"ha": "right", "va": "bottom", "fontsize": 9, "style": "italic", "color": GREY}
        values.text(99.5, len(names) - 0.58, "not visible in photographs", **style)
    labels = [f"{name}  ({attributes[name]['values']})" for name in names]
    values.set_yticks(range(len(names)), labels, fontsize=10)
    values.set_ylim(len(names) - 0.5, -0.5)
    values.set_title("Choice among all values (number)", fontsize=11, weight="bold", loc="left")
    pairs.set_title("Choice between two texts", fontsize=11, weight="bold", loc="left")
    handles: list[Any] = [plt.Rectangle((0, 0), 1, 1, color=colour) for _, _, colour in series]
    handles += [plt.Rectangle((0, 0), 1, 1, color=PAIRS), plt.Line2D([], [], color=INK, linewidth=1.6)]
    handles += [plt.Line2D([], [], color=INK, linewidth=1.1, linestyle=(0, (1, 1)))]
    titles = [title for _, title, _ in series] + [
        "ITC, pairs of texts",
        "chance",
        "most frequent value",
    ]
    figure.legend(handles, titles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    save_picture(figure, path, dpi=130)


def _accuracy(row: dict[str, Any]) -> float:
    return row.get("pairs", row["itc"])["accuracy"]


def _bar(axis: Any, y: float, figures: dict[str, float] | None, colour: str, height: float) -> None:
    if figures is None:
        return
    axis.barh(y, figures["accuracy"], height, color=colour, zorder=2)
    axis.errorbar(figures["accuracy"], y, xerr=figures["half_width"], color="#00000080", linewidth=1.1, zorder=3)


def _plain(axis: Any) -> None:
    axis.set_xlim(0, 100)
    axis.xaxis.set_major_formatter("{x:.0f} %")
    axis.tick_params(axis="x", labelsize=8.5, colors=GREY)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", alpha=0.25, zorder=0)
    axis.set_axisbelow(True)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.spines["bottom"].set_color("#bbbbbb")
