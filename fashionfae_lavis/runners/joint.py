"""The splits of a run: training on one dataset, or on several jointly.

In joint training each batch comes from one dataset, the same on all processes. ITC and ITM then cannot distinguish
products by their dataset. Product ids, which are unique only within a dataset, can be compared within a batch.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch.utils.data import ConcatDataset, Dataset, IterableDataset

from fashionfae_lavis.errors import UserError

AUTO = "auto"  # in `run.test_splits`


class JointDataset(ConcatDataset):
    """Concatenation of training splits; an item is `(index of its dataset, sample)`.

    A batch must come from one dataset, which also collates it.

    Args:
        datasets: dataset name -> training split.
    """

    def __init__(self, datasets: Mapping[str, Any]):
        super().__init__(datasets.values())
        self.names, self.splits = list(datasets), list(datasets.values())

    def __getitem__(self, index: int) -> tuple[int, Any]:
        return bisect_right(self.cumulative_sizes, index), super().__getitem__(index)

    def collater(self, items: list[tuple[int, Any]]) -> Any:
        """Collates items of one dataset into a batch."""
        (origin,) = {origin for origin, _ in items}
        return self.splits[origin].collater([sample for _, sample in items])


def join_splits(datasets: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Combines the splits of all datasets for one run.

    Args:
        datasets: dataset name -> split name -> split, as LAVIS's tasks build them.

    Returns:
        Split name -> split. `train` holds all training splits, as a `JointDataset` if there are several. With several
        datasets every other split is called `<dataset>.<split>`, and also `<split>` if only one dataset has it.
    """
    if len(datasets) == 1:
        return dict(*datasets.values())
    trained = {name: splits["train"] for name, splits in datasets.items() if "train" in splits}
    streams = [split for split in trained.values() if isinstance(split, IterableDataset)]
    joined: dict[str, Any] = {}
    if trained:
        # A stream cannot be indexed. `find_split` rejects it.
        joined["train"] = streams[0] if streams else JointDataset(trained)
    others = [(name, split) for name, splits in datasets.items() for split in splits if split != "train"]
    names = [split for _, split in others]
    for name, split in others:
        joined[f"{name}.{split}"] = datasets[name][split]
        if names.count(split) == 1:
            joined[split] = datasets[name][split]
    return joined


def splits_to_test(run: Mapping[str, Any], datasets: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Returns `run.test_splits` with `auto` replaced by each dataset's `test` or, in a dataset without it, `val`.

    Args:
        run: the `run` section.
        datasets: dataset name -> split name -> split.

    Raises:
        UserError: a dataset has neither.
    """
    names: list[str] = []
    for name in run.get("test_splits") or ():
        names += _best_splits(datasets) if name == AUTO else [name]
    return names


def _best_splits(datasets: Mapping[str, Mapping[str, Any]]) -> list[str]:
    names = []
    for dataset, splits in datasets.items():
        split = next((split for split in ("test", "val") if split in splits), None)
        if split is None:
            raise UserError(
                f"run.test_splits is {AUTO}, but {dataset} has neither test nor val, only {', '.join(splits)}: set it "
                "to [] or to other splits."
            )
        names.append(split if len(datasets) == 1 else f"{dataset}.{split}")
    return names


def find_split(splits: Mapping[str, Any], name: str) -> Any:
    """Returns the split of this name.

    Raises:
        UserError: there is none, or it is a stream, which cannot be indexed.
    """
    split = splits.get(name)
    if split is None or isinstance(split, IterableDataset):
        raise UserError(f"There is no split '{name}' that can be indexed; the datasets have {', '.join(splits)}.")
    return split


def sizes_and_ratios(dataset: Dataset, run: DictConfig) -> tuple[int | dict[str, int], dict[str, float] | None]:
    """Returns the number of samples of each dataset and the relative frequency of its batches.

    Args:
        dataset: the training split.
        run: the `run` section; without `train_dataset_ratios` the ratios are the sizes.

    Returns:
        The number of samples and None; for a `JointDataset`, both numbers and ratios by dataset name.

    Raises:
        UserError: the ratios do not name exactly the datasets of the run, or are not positive numbers.
    """
    ratios = run.get("train_dataset_ratios")
    key = "run.train_dataset_ratios"
    if not isinstance(dataset, JointDataset):
        if ratios:
            raise UserError(f"{key} needs several datasets, but this run trains on one: remove it.")
        return len(dataset), None  # type: ignore[arg-type]  # torch's Dataset declares no __len__
    sizes = dict(zip(dataset.names, map(len, dataset.datasets), strict=True))  # type: ignore[arg-type]
    if not ratios:
        return sizes, {name: float(size) for name, size in sizes.items()}
    if not OmegaConf.is_dict(ratios):
        raise UserError(f"{key} is {ratios!r}, but must give a number for each of {', '.join(sizes)}.")
    if set(ratios) != set(sizes):
        name = sorted(set(ratios) ^ set(sizes))[0]
        problem = f"'{name}' is not trained on" if name in ratios else f"'{name}' is missing"
        raise UserError(f"{key}: {problem}; give a number for each of {', '.join(sizes)}.")
    for name, ratio in ratios.items():
        number = isinstance(ratio, int | float) and not isinstance(ratio, bool)
        if not number or not math.isfinite(ratio) or ratio <= 0:
            raise UserError(
                f"{key}.{name} is {ratio!r}, but must be a number above 0; to train without this dataset, remove it "
                "from `datasets`."
            )
    return sizes, {name: float(ratios[name]) for name in sizes}
