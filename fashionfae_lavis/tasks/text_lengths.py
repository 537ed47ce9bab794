"""A warning about texts that are longer than the model reads."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from fashionfae_lavis.models.adapters import TextLimit, adapt

SAMPLE = 2000  # training texts that are counted
SPLINTERED = 1.5  # more word pieces per word than this suggest another vocabulary


def report_cut_texts(model: Any, datasets: Mapping[str, Mapping[str, Any]]) -> None:
    """Warns about each dataset with training texts that the model cuts, and names the setting to raise.

    Args:
        model: the model, whose tokenizer counts the word pieces.
        datasets: dataset name -> split name -> split. A training split without `sample_texts` is skipped.
    """
    limit = adapt(model).text_limit
    for name, splits in datasets.items():
        sample = getattr(splits.get("train"), "sample_texts", None)
        found = sample and limit and cut_texts(sample(SAMPLE), limit)
        if found:
            logging.warning("datasets.%s: %s", name, found)


def cut_texts(texts: list[str], limit: TextLimit) -> str | None:
    """Describes how many of the texts are longer than the limit; None if none is."""
    lengths = np.array([limit.count(text) for text in texts])
    cut = int((lengths > limit.length).sum())
    if not cut:
        return None
    counted = f"{cut} of {len(texts)} training texts ({100 * cut / len(texts):.1f} %)"
    allowed = f"{limit.key}, {limit.length} word pieces" if limit.key else f"{limit.length} word pieces"
    mend = f"raise {limit.key} to {lengths.max()}" if limit.key else "this model cannot read longer ones"
    ratio = lengths.sum() / sum(len(text.split()) for text in texts)
    if limit.key and ratio > SPLINTERED:
        mend += (
            f", or set model.vocabulary to one made of these texts, as this one splits a word into {ratio:.1f} pieces"
        )
    return f"{counted} are longer than {allowed}, and lose {limit.loses}; the longest has {lengths.max()}: {mend}."
