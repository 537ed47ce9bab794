import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fashionfae_lavis.metrics.linear_probe import linear_probe_hits


def features_of(labels, seed=0):
    """Noise around one random centre per label, far apart."""
    rng = np.random.default_rng(seed)
    centres = {label: rng.standard_normal(16) * 4 for label in sorted(set(labels))}
    return np.stack([centres[label] for label in labels]) + rng.standard_normal((len(labels), 16))


def test_labels_that_the_features_show_are_read_off():
    labels = ["red", "blue", "green"] * 40
    assert linear_probe_hits(features_of(labels), labels).all()


def test_labels_that_the_features_do_not_show_are_guessed():
    rng = np.random.default_rng(1)
    labels = rng.choice(["red", "blue"], 400).tolist()
    assert linear_probe_hits(rng.standard_normal((400, 16)), labels).mean() == pytest.approx(0.5, abs=0.1)


def test_no_product_is_predicted_by_a_classifier_that_saw_it(monkeypatch):
    """Each feature is its product's number, so a classifier shows what it was trained on."""
    numbers = np.arange(23, dtype=float)[:, None]
    seen = []

    class Recorder(LogisticRegression):
        def fit(self, features, labels):
            self.known = features
            return self

        def predict(self, features):
            seen.extend(features.ravel().tolist())
            assert not np.isin(features.round(6), self.known.round(6)).any()
            return np.array(["red"] * len(features))

    monkeypatch.setattr("sklearn.linear_model.LogisticRegression", Recorder)
    hits = linear_probe_hits(numbers, ["red", "blue"] * 11 + ["red"])
    assert hits.sum() == 12 and len(seen) == 23


@pytest.mark.parametrize("labels", [["red"] * 20, ["red", "blue"], []])
def test_too_little_to_learn_from(labels):
    assert not linear_probe_hits(np.ones((len(labels), 4)), labels).any()


def test_a_label_that_occurs_once_is_never_right():
    labels = ["red", "blue"] * 20 + ["green"]
    hits = linear_probe_hits(features_of(labels), labels)
    assert hits[:-1].all() and not hits[-1]
