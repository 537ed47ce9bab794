"""The base class of all tasks: builds and checks datasets and model, and defines training and evaluation."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from lavis.tasks.base_task import BaseTask
from torch import Tensor
from torch.utils.data import DataLoader

from fashionfae_lavis.datasets.protocols import require
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.results import EvaluationResult
from fashionfae_lavis.models.adapters import Adapter, adapt
from fashionfae_lavis.runners.joint import splits_to_test
from fashionfae_lavis.tasks.starting_point import build_from_checkpoint, take_vocabulary


class FashionTask(BaseTask):
    """A task that reads its settings from `run` and leaves the work to the model and to evaluation/.

    A task stores only settings. Evaluations return their results.

    Args:
        run: the `run` section of the configuration.

    Attributes:
        trains: whether the task can train a model, not only evaluate it.
        starts_from_checkpoint: whether the model starts from a checkpoint, see starting_point.py.
        contrasts: whether the task can train ITC, whose loss compares all products of a batch.
        train_protocol, split_protocol: protocols in datasets/protocols.py that the training split and the evaluation
            splits must satisfy.
        evaluation_kind: name of the evaluation for `fashionfae compare`; None if it cannot be compared.
    """

    trains: ClassVar[bool] = True
    starts_from_checkpoint: ClassVar[bool] = False
    contrasts: ClassVar[bool] = False
    train_protocol: ClassVar[type | None] = None
    split_protocol: ClassVar[type | None] = None
    evaluation_kind: ClassVar[str | None] = None

    def __init__(self, run: Mapping[str, Any]):
        super().__init__()
        self.run = run

    @classmethod
    def setup_task(cls, cfg: Any) -> "FashionTask":
        """Creates the task from LAVIS's configuration."""
        return cls(cfg.run_cfg)

    def build_datasets(self, cfg: Any) -> dict[str, dict[str, Any]]:
        """Builds the datasets, and checks that they have what training and evaluation need.

        Returns:
            Dataset name -> split name -> split.

        Raises:
            UserError: there is nothing to train on, or a split lacks an attribute or an item key that the task needs.
        """
        datasets = super().build_datasets(cfg)
        run = cfg.run_cfg
        if not run.get("evaluate") and not any("train" in splits for splits in datasets.values()):
            raise no_training(datasets)
        tested = {*(run.get("valid_splits") or ()), *splits_to_test(run, datasets)}
        for name, splits in datasets.items():
            for split, dataset in splits.items():
                if self.train_protocol and split == "train" and not run.get("evaluate"):
                    require(dataset, self.train_protocol, run.task)
                if self.split_protocol and tested & {split, f"{name}.{split}"}:
                    require(dataset, self.split_protocol, run.task)
        return datasets

    def build_model(self, cfg: Any) -> Any:
        """Builds the model, from a checkpoint if the task starts from one, and checks that it suits the task.

        Raises:
            UserError: the model cannot do what the task needs, or its checkpoint cannot be used.
        """
        build = super().build_model
        if (self.run.get("evaluate") or self.starts_from_checkpoint) and not self.run.get("from_scratch"):
            take_vocabulary(cfg.model_cfg)
        model = build_from_checkpoint(cfg, build) if self.starts_from_checkpoint else build(cfg)
        adapter = adapt(model)
        self.check_model(adapter, cfg.model_cfg.arch)
        adapter.prepare_training()
        if self.run.get("compile") and not self.run.get("evaluate"):
            adapter.compile()
        return model

    def check_model(self, adapter: Adapter, arch: str) -> None:
        """Raises UserError if the model, `model.arch`, cannot do what the task needs."""

    def preparation(self, model: Any) -> Callable[[dict[str, Any], int, int], dict[str, Any]] | None:
        """Returns the function of (batch, iteration, micro_step) that the loader's workers apply; None for none.

        It is pickled where processes are spawned, so it must not hold the model.
        """
        return None

    def train_step(self, model: Any, samples: dict[str, Any]) -> dict[str, Tensor]:
        """Runs the model on one batch.

        Returns:
            Losses and accuracies by name; "loss" is the one to minimise.
        """
        return {name: value for name, value in model(samples).items() if name.startswith(("loss", "acc"))}

    def evaluation(self, model: Any, data_loader: DataLoader[Any], cuda_enabled: bool = False) -> EvaluationResult:
        """Evaluates the model on the split of a data loader; in a distributed run every process gets the result."""
        raise NotImplementedError

    def after_evaluation(self, val_result: EvaluationResult, split_name: str, epoch: Any, **_: Any) -> EvaluationResult:
        """Returns the result of an evaluation unchanged."""
        return val_result

    def finish(self, model: Any, result: Any) -> EvaluationResult:
        """Completes the result of a test split at the end of a run, in the first process only."""
        return result


def no_training(datasets: Mapping[str, Mapping[str, Any]]) -> UserError:
    """Makes the error for a training without a split to train on."""
    splits = ", ".join(f"{name} has only {' and '.join(splits)}" for name, splits in datasets.items())
    return UserError(
        f"`datasets`: there are no products to train on; {splits}: evaluate with `python -m lavis.evaluate`, prepare "
        "the data with training products or, for recognition, set `label` to an attribute that they have."
    )
