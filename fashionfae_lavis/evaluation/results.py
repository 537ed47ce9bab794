"""Base class of evaluation results."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


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
