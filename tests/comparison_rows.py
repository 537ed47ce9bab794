"""Rows of a comparison."""

from fashionfae_lavis.compare.finished import Row
from fashionfae_lavis.compare.outcomes import Outcome

PAIRS, ACCURACY = "probe.pairs", "recognition.accuracy"


def comparison_rows():
    """Two seeds of three systems; the last one has no recognition."""
    figures = {
        "base": [(100, 60.0, 90.0), (100, 64.0, 80.0)],
        "better": [(150, 63.0, 70.0), (150, 65.0, 74.0)],
        "other": [(90, 50.0, None), (90, 52.0, None)],
    }
    found = []
    for system, seeds in figures.items():
        for seed, (parameters, pairs, accuracy) in enumerate(seeds):
            row = Row(system, seed, {"parameters": parameters * 1000})
            row.add(Outcome("attribute probe", {"split": "val"}, {PAIRS: pairs}, {PAIRS: 50.0}))
            if accuracy is not None:
                row.add(Outcome("recognition", {"split": "val"}, {ACCURACY: accuracy}))
            found.append(row)
    return found
