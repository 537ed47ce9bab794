"""The linear probe: how well a linear classifier reads labels off frozen features.

Alain and Bengio, arXiv 1610.01644.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FOLDS = 5
ITERATIONS = 1000


def linear_probe_hits(features: NDArray[np.float32], labels: Sequence[str]) -> NDArray[np.bool_]:
    """Predicts each label by a classifier that is trained on the other folds.

    The classifier is scikit-learn's logistic regression with its default penalty, on standardised features. A fixed
    seed draws the folds, which do not depend on the features. A label that occurs in one fold only is never predicted
    right.

    Args:
        features: (N, D).
        labels: N labels.

    Returns:
        Booleans (N,), True where the prediction is right. All are False if a fold would have no two labels to learn
        from.
    """
    from sklearn.linear_model import LogisticRegression  # takes a second to import
    from sklearn.model_selection import KFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known = np.asarray(labels)
    hits = np.zeros(len(known), dtype=bool)
    if len(known) < FOLDS:
        return hits
    for train, test in KFold(FOLDS, shuffle=True, random_state=0).split(known):
        if len(set(known[train])) > 1:
            classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS))
            hits[test] = classifier.fit(features[train], known[train]).predict(features[test]) == known[test]
    return hits
