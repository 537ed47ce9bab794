"""Comparison of computed entries with golden entries: the rule and the tolerance for each."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fashionfae_lavis.metrics.retrieval import full_test, sub_test

# float32 and float64 runs of the same model differ by about 3e-6.
TENSOR, LOSS = 5e-5, 2e-5
# Gradient norms are compared relatively. Norms below GRADIENT_FLOOR of a task's largest norm are rounding errors. For
# example, gradients of key biases are zero in exact arithmetic, because softmax ignores these biases. Differences are
# therefore measured in units of at least that size.
GRADIENT, GRADIENT_FLOOR = 1e-3, 1e-5
STANDARD_ERRORS, EVALUATIONS = 4.0, 60

INPUTS = {
    *(f"in.{name}" for name in ("input_ids", "input_ids_masked", "lm_label_ids", "input_mask", "segment_ids")),
    *("in.image_masks", "itm.targets", "itm.hard_replaced", "seed"),
}
LOSSES = (".loss", ".loss_two_views", ".hard_loss", ".bbc_loss", ".ce", ".global_contrastive")
METRIC_INPUTS = ("image_embeddings", "text_embeddings", "image_id", "text_id", "image_subcat_id", "text_subcat_id")
FIGURES = [f"{direction}_r{top}" for direction in ("i2t", "t2i") for top in (1, 5, 10)] + ["mean"]


class Row(NamedTuple):
    """One compared entry.

    Attributes:
        difference: absolute unless `unit` says otherwise.
        tolerance: the largest difference that is ok.
    """

    name: str
    difference: float
    tolerance: float
    unit: str = ""

    @property
    def ok(self) -> bool:
        return bool(self.difference <= self.tolerance)

    def line(self) -> str:
        """Formats the row as a line of the report."""
        verdict = "ok" if self.ok else "FAIL"
        compared = f"{self.name:<32} {self.difference:>10.3g}  tolerance {self.tolerance:<7.3g}"
        return f"{compared} {verdict}  {self.unit}".rstrip()


def compare(golden: Mapping[str, NDArray], computed: Mapping[str, NDArray]) -> list[Row]:
    """Compares all entries that both sides have; a different shape counts as an infinite difference."""
    rows = []
    for name, expected in golden.items():
        if name not in computed:
            continue
        if name.endswith(".top5_idx"):
            expected = golden[name.replace("_idx", "_val")]
        rows.append(compare_entry(name, computed[name], expected))
    return rows


def compare_entry(name: str, computed: NDArray, expected: NDArray) -> Row:
    """Compares one entry by the rule for its name; integers must be equal."""
    if computed.shape != expected.shape:
        return Row(name, np.inf, 0.0, f"shape {computed.shape} instead of {expected.shape}")
    if name.startswith("grad."):
        return Row(name, gradient_difference(computed, expected), GRADIENT, "relative")
    difference = np.abs(computed.astype(np.float64) - expected.astype(np.float64))
    largest = float(difference.max()) if np.isfinite(difference).all() else np.inf
    if np.issubdtype(expected.dtype, np.integer) and not name.endswith(".top5_idx"):
        return Row(name, largest, 0.0)
    return Row(name, largest, LOSS if name.endswith(LOSSES) else TENSOR)


def gradient_difference(computed: NDArray, expected: NDArray) -> float:
    """Returns the largest relative difference of gradient norms (P,).

    NaN means no gradient. The difference is infinite if only one side has a gradient.
    """
    has_gradient = ~np.isnan(expected)
    if not (has_gradient == ~np.isnan(computed)).all():
        return np.inf
    unit = np.maximum(expected[has_gradient], GRADIENT_FLOOR * expected[has_gradient].max())
    return float((np.abs(computed[has_gradient] - expected[has_gradient]) / unit).max())


def metric_sets(golden: Mapping[str, NDArray]) -> list[str]:
    """Returns the names of the sets of retrieval metrics in a file, such as `metrics.a`."""
    return sorted({name.rsplit(".", 1)[0] for name in golden if name.endswith(".image_embeddings")})


def compare_metrics(golden: Mapping[str, NDArray], prefix: str) -> tuple[list[Row], dict[str, str]]:
    """Compares one set of retrieval metrics: the full test must be equal, the sub-test within standard errors.

    If a subcategory has too few negatives, the authors' sub-test adds negatives from other subcategories, in an order
    that depends on the platform. This package counts such queries, and skips a set that has any.

    Returns:
        Rows, and the reason for each entry that is skipped.
    """
    arguments = [golden[f"{prefix}.{name}"] for name in METRIC_INPUTS]
    rows: list[Row] = []
    if f"{prefix}.general" in golden:
        result = full_test(*arguments[:4])
        figures = np.array([result[key] for key in FIGURES]) / 100
        # The golden figures are shares in float32.
        rows.append(Row(f"{prefix}.general", float(np.abs(figures - golden[f"{prefix}.general"]).max()), 1e-7))
    if f"{prefix}.kaleido_mean" in golden:
        mean_name, std_name = f"{prefix}.kaleido_mean", f"{prefix}.kaleido_std"
        first = sub_test(*arguments, seed=0)
        if first["short_queries"]:
            reason = f"{first['short_queries']} queries have too few negatives, and the authors add others"
            return rows, {mean_name: reason, std_name: reason}
        results = [first] + [sub_test(*arguments, seed=seed) for seed in range(1, EVALUATIONS)]
        figures = np.array([[result[key] for key in FIGURES] for result in results]) / 100
        # The golden mean is over 200 evaluations.
        error = np.sqrt(figures.var(axis=0, ddof=1) / EVALUATIONS + golden[std_name] ** 2 / 200)
        off = np.abs(figures.mean(axis=0) - golden[mean_name]) / np.maximum(error, 1e-12)
        rows.append(Row(mean_name, float(off.max()), STANDARD_ERRORS, "standard errors"))
    return rows, {}
