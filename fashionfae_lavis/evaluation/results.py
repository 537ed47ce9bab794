"""Base class of evaluation results."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fashionfae_lavis.files import replacing

HITS = "hits.npz"


class EvaluationResult(Mapping[str, Any]):
    """Result of evaluating one split. As a mapping, it has the items of `to_json`.

    Every result has "agg_metrics", the figure by which LAVIS's runners compare checkpoints.
    """

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Returns the figures as plain containers, as results.json stores them."""

    @abstractmethod
    def table(self) -> str:
        """Formats the figures as a text table."""

    def hits(self) -> dict[str, NDArray[np.float32]]:
        """Returns per-product scores, as hits.npz stores them.

        Returns:
            Dotted figure name, as in compare/outcomes.py -> an array (P, C). The figure in percent is 100 times the
            mean over C columns of their means over P products. A product without a query in a column has NaN there.
        """
        return {}

    def draw(self, folder: Path) -> dict[str, str]:
        """Saves pictures of the result in an existing folder.

        Returns:
            Picture name -> path.
        """
        return {}

    def __getitem__(self, key: str) -> Any:
        return self.to_json()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_json())

    def __len__(self) -> int:
        return len(self.to_json())


def save_hits(result: EvaluationResult, path: Path) -> None:
    """Writes the arrays of `hits` atomically to an .npz file; writes nothing if there are none.

    Raises:
        UserError: the file cannot be written.
    """
    if arrays := result.hits():
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)
