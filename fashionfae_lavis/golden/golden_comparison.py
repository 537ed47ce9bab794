"""Ours against golden entries: what each kind of entry is compared by, and how far it may differ."""

from typing import NamedTuple

import numpy as np

from fashionfae_lavis.metrics.retrieval import full_test, sub_test

# float32 against float64 of the same model differs by about 3e-6.
TENSOR, LOSS = 5e-5, 2e-5
# Gradient norms, relative. Norms below GRADIENT_FLOOR of a task's largest are rounding (those of the keys' biases are
# zero in exact arithmetic, as softmax does not see them), so differences are measured in units no smaller than that.
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
    """One compared entry: its difference (absolute, but see `unit`), the tolerance, and whether that is kept."""

    name: str
    difference: float
    tolerance: float
    unit: str = ""

    @property
    def ok(self) -> bool:
        return bool(self.difference <= self.tolerance)


def compare(golden: dict, ours: dict) -> list[Row]:
    """Rows of all entries that both have; shapes that differ count as an infinite difference."""
    rows = []
    for name, theirs in golden.items():
        if name not in ours:
            continue
        if name.endswith(".top5_idx"):
            theirs = golden[name.replace("_idx", "_val")]
        rows.append(compare_entry(name, ours[name], theirs))
    return rows


def compare_entry(name: str, ours: np.ndarray, theirs: np.ndarray) -> Row:
    """One entry by the rule for its name; whole numbers must be equal."""
    if ours.shape != theirs.shape:
        return Row(name, np.inf, 0.0, f"shape {ours.shape} instead of {theirs.shape}")
    if name.startswith("grad."):
        return Row(name, gradient_difference(ours, theirs), GRADIENT, "relative")
    difference = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    largest = float(difference.max()) if np.isfinite(difference).all() else np.inf
    if np.issubdtype(theirs.dtype, np.integer) and not name.endswith(".top5_idx"):
        return Row(name, largest, 0.0)
    return Row(name, largest, LOSS if name.endswith(LOSSES) else TENSOR)


def gradient_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest relative difference of gradient norms (P,); infinite where one has a gradient (not NaN) and one not."""
    has = ~np.isnan(theirs)
    if not (has == ~np.isnan(ours)).all():
        return np.inf
    unit = np.maximum(theirs[has], GRADIENT_FLOOR * theirs[has].max())
    return float((np.abs(ours[has] - theirs[has]) / unit).max())


def metric_sets(golden: dict) -> list[str]:
    """Names of the sets of retrieval metrics in a file, such as `metrics.a`."""
    return sorted({name.rsplit(".", 1)[0] for name in golden if name.endswith(".image_embeddings")})


def compare_metrics(golden: dict, prefix: str) -> tuple[list[Row], dict[str, str]]:
    """One set of retrieval metrics: the full test must be equal, the sub-test lie within standard errors.

    The authors' sub-test fills up from other subcategories where there are too few negatives, in an order that
    depends on the platform; ours counts such queries, and their figures are not compared.

    Returns:
        rows, and the entries that are not compared, each with the reason.
    """
    arguments = [golden[f"{prefix}.{name}"] for name in METRIC_INPUTS]
    rows, skipped = [], {}
    if f"{prefix}.general" in golden:
        result = full_test(*arguments[:4])
        figures = np.array([result[key] for key in FIGURES]) / 100
        # Theirs are shares held in float32.
        rows.append(Row(f"{prefix}.general", float(np.abs(figures - golden[f"{prefix}.general"]).max()), 1e-7))
    if f"{prefix}.kaleido_mean" in golden:
        mean_name, std_name = f"{prefix}.kaleido_mean", f"{prefix}.kaleido_std"
        first = sub_test(*arguments, seed=0)
        if first["short_queries"]:
            reason = f"{first['short_queries']} queries have too few negatives, which the authors fill up"
            return rows, {mean_name: reason, std_name: reason}
        results = [first] + [sub_test(*arguments, seed=seed) for seed in range(1, EVALUATIONS)]
        figures = np.array([[result[key] for key in FIGURES] for result in results]) / 100
        # Theirs is the mean of 200 evaluations.
        error = np.sqrt(figures.var(axis=0, ddof=1) / EVALUATIONS + golden[std_name] ** 2 / 200)
        off = np.abs(figures.mean(axis=0) - golden[mean_name]) / np.maximum(error, 1e-12)
        rows.append(Row(mean_name, float(off.max()), STANDARD_ERRORS, "standard errors"))
    return rows, skipped
