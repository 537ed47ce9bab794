"""The split of each product: named by the table, or drawn."""

from array import array

import numpy as np

from fashionfae_lavis.datasets.datasets.catalogue_file import SPLITS
from fashionfae_lavis.prepare.duplicates import Groups

# How users call a split -> its name.
SPLIT_NAMES = {"training": "train", "validation": "val", "valid": "val", "dev": "val"} | {name: name for name in SPLITS}


def drawn_splits(groups: Groups, keys: "array[int]", validation: float) -> list[str]:
    """Draws the split of each product; all products of a group get the same one.

    Groups are sorted by their highest key, which places large groups in training more often. The groups with the lowest
    keys become `val`, up to the wanted number of products.
    """
    splits = np.full(len(keys), "train", dtype=object)
    highest = np.zeros(groups.labels.max(initial=-1) + 1, dtype=np.uint64)
    if validation == 0 or len(highest) < 2:
        return splits.tolist()
    np.maximum.at(highest, groups.labels, np.array(keys, dtype=np.uint64))
    sizes = np.bincount(groups.labels)
    wanted = min(max(1, round(validation * len(keys))), len(keys) - 1)
    chosen = np.zeros(len(highest), dtype=bool)
    for group in np.argsort(highest):
        if sizes[group] <= wanted:
            chosen[group] = True
            wanted -= sizes[group]
    if not chosen.any():  # every group is larger
        chosen[np.argmin(sizes)] = True
    splits[chosen[groups.labels]] = "val"
    return splits.tolist()
