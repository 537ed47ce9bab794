"""Base class of evaluation results."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


class EvaluationResult(Mapping[str, Any]):
    """The outcome of evaluating one split; as a mapping it has the items of `to_json`.

    Every result has "agg_metrics", the figure by which LAVIS's runners compare checkpoints.
    """

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The figures as plain containers: what results.json holds for a split."""

    @abstractmethod
    def table(self) -> str:
        """The figures as a text table."""

    def draw(self, folder: Path) -> dict[str, str]:
        """Draws the result into a folder, which must exist.

        Returns:
            A name for each picture -> its path.
        """
        return {}

    def __getitem__(self, key: str) -> Any:
        return self.to_json()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_json())

    def __len__(self) -> int:
        return len(self.to_json())
