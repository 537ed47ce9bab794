"""The settings that determine the order of the training samples."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from lavis.common.dist_utils import get_rank, get_world_size
from omegaconf import DictConfig
from torch.utils.data import Dataset

from fashionfae_lavis.runners.batches import EndlessBatches, JointBatches, TrainingBatches
from fashionfae_lavis.runners.joint import sizes_and_ratios

# Field -> its key in a checkpoint, also used in error messages.
KEYS = {
    "batch_size": "run.batch_size_train",
    "accumulate": "run.accum_grad_iters",
    "seed": "run.seed",
    "processes": "number of processes",
    "samples": "number of training samples",
    "ratios": "run.train_dataset_ratios",
}


@dataclass(frozen=True)
class DataOrder:
    """The settings that determine the order of the training samples. A checkpoint resumes only with equal settings.

    Attributes:
        batch_size: samples in a batch of one process.
        accumulate: batches in one update of the weights.
        seed: seed of the order.
        processes: number of processes.
        samples: number of training samples; by dataset name if there are several datasets.
        ratios: relative frequency of each dataset's batches; None for one dataset.
    """

    batch_size: int
    accumulate: int
    seed: int
    processes: int
    samples: int | dict[str, int]
    ratios: dict[str, float] | None = None

    @classmethod
    def of(cls, dataset: Dataset, run: DictConfig) -> "DataOrder":
        """Reads the settings of a run from its training split and its `run` section.

        Raises:
            UserError: `run.train_dataset_ratios` does not fit the datasets.
        """
        samples, ratios = sizes_and_ratios(dataset, run)
        return cls(
            batch_size=int(run.batch_size_train),
            accumulate=int(run.get("accum_grad_iters", 1)),
            seed=int(run.get("seed", 42)),
            processes=get_world_size(),
            samples=samples,
            ratios=ratios,
        )

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "DataOrder":
        """Reads the output of `state_dict`; checkpoints of old versions have no ratios."""
        return cls(**{field: state.get(key) for field, key in KEYS.items()})  # type: ignore[arg-type]

    def state_dict(self) -> dict[str, Any]:
        """Returns the settings in plain types, under the keys that checkpoints use."""
        return {KEYS[field.name]: getattr(self, field.name) for field in fields(self)}

    @property
    def all_samples(self) -> int:
        """Number of training samples of all datasets together."""
        return self.samples if isinstance(self.samples, int) else sum(self.samples.values())

    @property
    def samples_per_update(self) -> int:
        """Number of samples that one update of the weights sees, on all processes together."""
        return self.batch_size * self.accumulate * self.processes

    def difference(self, other: "DataOrder") -> str | None:
        """Describes the first setting that differs, as "run.seed = 1, not 2"; returns None if all are equal."""
        others = other.state_dict()
        for key, value in self.state_dict().items():
            if value != others[key]:
                first, second = ("unset" if setting is None else setting for setting in (value, others[key]))
                return f"{key} = {first}, not {second}"
        return None


def training_batches(order: DataOrder) -> TrainingBatches:
    """Builds the sampler of this process's batches."""
    rank = get_rank()
    if isinstance(order.samples, int):
        return EndlessBatches(order.samples, order.batch_size, order.seed, rank, order.processes)
    assert order.ratios is not None
    return JointBatches(order.samples, order.ratios, order.batch_size, order.seed, rank, order.processes)
