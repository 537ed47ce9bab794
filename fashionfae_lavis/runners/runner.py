"""The training loop, counted in updates, on a CPU, one GPU or under torchrun, with exact resumption.

It replaces the parts of LAVIS's runner that need a GPU or a process group, lose state in checkpoints, or write into the
installed library. It calls tasks and models as LAVIS does.
"""

import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, nullcontext
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from lavis.common.dist_utils import get_rank, is_dist_avail_and_initialized, is_main_process
from lavis.common.registry import registry
from lavis.datasets.data_utils import apply_to_sample
from lavis.runners.runner_base import RunnerBase
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

from fashionfae_lavis.checkpoints import load_weights, read_checkpoint
from fashionfae_lavis.datasets.loaders import Prepare, evaluation_loader, training_loader
from fashionfae_lavis.distributed import gather_objects, max_anywhere
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.interruption import Interrupted, deferred, requested
from fashionfae_lavis.random_state import random_state, restore_random_state
from fashionfae_lavis.runners.batches import join_batches
from fashionfae_lavis.runners.checkpoint_writer import CheckpointWriter
from fashionfae_lavis.runners.curves import draw_curves
from fashionfae_lavis.runners.data_order import DataOrder, training_batches
from fashionfae_lavis.runners.divergence import check_finite
from fashionfae_lavis.runners.forecast import Forecast
from fashionfae_lavis.runners.joint import find_split, join_splits, splits_to_test
from fashionfae_lavis.runners.length import RunLength
from fashionfae_lavis.runners.logs import METRICS_FILE, RunLog
from fashionfae_lavis.runners.optimizers import (
    autocast_dtype,
    build_optimizer,
    build_schedule,
    load_optimizer_state,
    optimizer_state,
)
from fashionfae_lavis.runners.output_folder import (
    BEST_CHECKPOINT,
    LAST_CHECKPOINT,
    checkpoint_to_resume,
    make_output_folder,
    plain,
    read_run_checkpoint,
    save_config,
)
from fashionfae_lavis.runners.progress import Progress
from fashionfae_lavis.runners.run_state import check_optimizer, check_run_state, check_same_training
from fashionfae_lavis.runners.schedules import IterationSchedule


@registry.register_runner("fashionfae_runner")
class FashionRunner(RunnerBase):
    """Runner that trains for `run.max_epoch` epochs, `run.max_iters` updates or `run.max_minutes`, and evaluates.

    An iteration is one update of the weights, from `run.accum_grad_iters` batches. Logs and messages count from 1,
    `samples["iters"]` from 0.

    The runner writes `checkpoint_last.pth`

    - after every `run.iters_per_inner_epoch` updates (default: an epoch),
    - after it has evaluated `run.valid_splits`,
    - `run.checkpoint_minutes` after the previous checkpoint, if this key is set, and
    - when a signal stops the run.

    The checkpoint before it is kept as `checkpoint_previous.pth`. If `agg_metrics` of the first validation split has
    improved, `checkpoint_best.pth` is written too. Further files are `config.yaml`, `metrics.jsonl`, TensorBoard events
    and `curves.png`. See `length.py` for a length in minutes and `joint.py` for several datasets and their splits.

    Raises:
        UserError: a setting is invalid, the output folder cannot be written to, a checkpoint does not fit, or (in
            `train`) a loss is not finite.
    """

    def __init__(self, cfg: Any, task: Any, model: nn.Module, datasets: dict[str, dict[str, Dataset]], job_id: str):
        self.run_cfg = cfg.run_cfg
        super().__init__(cfg, task, model, datasets, job_id)  # which calls setup_output_dir
        self.datasets, self.tested = join_splits(datasets), splits_to_test(self.run_cfg, datasets)
        self.amp_dtype = autocast_dtype(self.run_cfg.get("amp"), self.device)
        self.num_workers = int(self.run_cfg.get("num_workers", 0))
        self.progress = Progress()
        self._checkpoints = CheckpointWriter(self.output_dir, self.run_cfg.get("checkpoint_minutes"))
        self._eval_loaders: dict[str, DataLoader] = {}
        if not self.evaluate_only:
            self._set_length()
        for split in (*(self.run_cfg.get("valid_splits") or ()), *self.tested):
            find_split(self.datasets, split)  # report a misspelled split before the training, not after it

    def setup_output_dir(self) -> None:
        """Creates the run's folder (when resuming, the checkpoint's) and registers its path for LAVIS's tasks."""
        folder = Path.cwd() / self.run_cfg.output_dir / self.job_id
        self._resume_from = checkpoint_to_resume(None if self.evaluate_only else self.resume_ckpt_path, folder)
        self.output_dir = self._resume_from.parent if self._resume_from else folder
        self.result_dir = make_output_folder(self.output_dir)
        # registry.register_path would refuse a second run in the same process.
        registry.mapping["paths"]["output_dir"] = str(self.output_dir)
        registry.mapping["paths"]["result_dir"] = str(self.result_dir)

    def _set_length(self) -> None:
        self.data_order = DataOrder.of(find_split(self.datasets, "train"), self.run_cfg)
        self.batches = training_batches(self.data_order)
        self.iters_per_epoch = max(1, self.batches.batches_per_epoch // self.accum_grad_iters)
        self.iters_per_inner_epoch = int(self.run_cfg.get("iters_per_inner_epoch") or self.iters_per_epoch)
        self.length = RunLength.of(self.run_cfg, self.iters_per_epoch)

    def train(self) -> dict[str, Any]:
        """Trains and tests; only tests if `run.evaluate` is true or the run is already finished.

        Returns:
            Split name -> results of the task, for each of `run.test_splits`.

        Raises:
            Interrupted: a signal stopped the run; see `interruption.py`. Its updates are in the checkpoint.
        """
        # Several processes stop together, at points where they agree on it.
        with deferred() if self.use_distributed else nullcontext():
            if self.evaluate_only:
                self.log_config()
                return self.evaluate(skip_reload=True)
            if self._resume_from is not None:
                self.load_state_dict(read_run_checkpoint(self._resume_from), self._resume_from)
                logging.info("Resuming %s after iteration %d.", self._resume_from, self.progress.iters)
            self.log_config()
            self._train_to_the_end()
            if is_main_process():
                draw_curves(self.output_dir / METRICS_FILE, self.output_dir / "curves.png")
            return self.evaluate()

    def _train_to_the_end(self) -> None:
        end = math.inf if self.length.max_minutes is not None else self.length.schedule_length
        with (
            RunLog(self.output_dir, self.progress.iters, end, self.progress.unvalidated) as log,
            closing(self._training_batches()) as batches,
        ):
            forecast = Forecast(self.length, self.data_order.all_samples, self.iters_per_epoch)
            if not self.is_over:
                forecast.announce(self.lr_scheduler, log)
            while not self.is_over or self.progress.unvalidated:
                if not self.progress.unvalidated:
                    self._train_inner_epoch(batches, log, forecast)
                if self.progress.unvalidated:
                    improved = self._validate(log)
                    with deferred():
                        self.progress.unvalidated = False
                        self._save(improved)

    def _training_batches(self) -> Generator[Any, None, None]:
        """Yields batches without end. Close it to end the worker processes, even after an exception."""
        yield from self.train_loader

    @property
    def is_over(self) -> bool:
        """Whether training has reached its length."""
        return self.length.is_over(self.progress.iters, self.progress.seconds)

    def _train_inner_epoch(self, batches: Iterator, log: RunLog, forecast: Forecast) -> None:
        """Trains until the next validation, the end of training or a signal, and writes checkpoints."""
        self.model.train()
        progress, ends = self.progress, False
        with deferred():
            while not ends:
                start = time.perf_counter()
                lr = self.lr_scheduler.step(self.length.schedule_step(progress.iters, progress.seconds))
                log.add_losses(self._update(batches))
                progress.iters += 1
                progress.seconds += time.perf_counter() - start
                if self.length.max_minutes is not None:  # all processes follow the first one's clock
                    progress.seconds = gather_objects(progress.seconds)[0]
                forecast.add_update(progress, log)
                ends = progress.iters % self.iters_per_inner_epoch == 0 or self.is_over
                stop, due = max_anywhere([requested(), self._checkpoints.is_due()], self.device)
                saves = ends or due > 0 or stop > 0
                if saves or progress.iters % self.log_freq == 0:
                    log.write_losses(progress.iters, lr)
                if saves:
                    progress.unvalidated = ends and bool(self.run_cfg.get("valid_splits"))
                    self._save()
                if stop:
                    raise Interrupted(int(stop))

    def _save(self, improved: bool = False) -> None:
        """Writes the last checkpoint and, if the validation has improved, the best one. All processes must call it."""
        self._checkpoints.write(self.state_dict(), improved)

    def _update(self, batches: Iterator) -> dict[str, float]:
        """Updates the weights once; returns this process's losses, averaged over its batches.

        With `run.grad_cache` the task may have the batches joined, so that its loss contrasts all of them.
        """
        model = self.model
        joined = bool(self.run_cfg.get("grad_cache")) and self.task.joins_batches(self.progress.iters)
        accumulate = 1 if joined else self.accum_grad_iters
        values: dict[str, list[Tensor]] = defaultdict(list)
        for micro_step in range(accumulate):
            loaded = join_batches([next(batches) for _ in range(self.accum_grad_iters)]) if joined else next(batches)
            samples = apply_to_sample(lambda x: x.to(self.device, non_blocking=True), loaded)
            # LAVIS's models count iterations as epoch * num_iters_per_epoch + iters, so epoch is 0.
            samples.update(iters=self.progress.iters, micro_step=micro_step)
            samples.update(epoch=0, num_iters_per_epoch=self.iters_per_epoch)
            more = micro_step < accumulate - 1
            with model.no_sync() if more and isinstance(model, DistributedDataParallel) else nullcontext():
                with torch.autocast(self.device.type, self.amp_dtype, enabled=self.amp_dtype is not None):
                    output = self.task.train_step(model=model, samples=samples)
                if not isinstance(output, Mapping):  # LAVIS's tasks return the loss alone
                    output = {"loss": output}
                self.scaler.scale(output["loss"] / accumulate).backward()
            for name, value in output.items():
                values[name].append(value.detach())
        self.scaler.unscale_(self.optimizer)
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        limit = float(self.run_cfg.get("max_grad_norm") or math.inf)
        norm_tensor = nn.utils.clip_grad_norm_(parameters, limit)
        means = {name: torch.stack(of_batches).float().mean().to(self.device) for name, of_batches in values.items()}
        # One transfer, because each one waits for the GPU.
        norm, *numbers = torch.stack([norm_tensor, *means.values()]).tolist()
        losses = dict(zip(means, numbers, strict=True))
        if self.scaler.is_enabled():  # the scaler skips an update with an infinite gradient
            norm = 0.0
        check_finite(losses, norm, self.progress.iters + 1, self.output_dir / LAST_CHECKPOINT, self.device)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return losses

    def _validate(self, log: RunLog) -> bool:
        """Evaluates the validation splits; returns whether the metric of the first is the best so far."""
        metrics = []
        for split in self.run_cfg.get("valid_splits") or []:
            result = self.eval_epoch(split, cur_epoch=self.progress.iters)
            if result is not None:
                if "agg_metrics" not in result:
                    raise UserError(f"run.valid_splits: the task returns no agg_metrics to judge '{split}' by.")
                log.write_results("validation", self.progress.iters, split, result)
            metrics.append(None if result is None else float(result["agg_metrics"]))
        # The first process decides, because LAVIS's tasks may return no result on the others.
        metric = gather_objects(metrics[0] if metrics else None)[0]
        return metric is not None and self.progress.improve(metric)

    def evaluate(self, skip_reload: bool = False) -> dict[str, Any]:
        """Evaluates `run.test_splits` with the best weights of this run; without a validation, with the current ones.

        Args:
            skip_reload: whether to evaluate the current weights even if there are better ones.

        Returns:
            Split name -> results of the task.
        """
        cur_epoch: int | str = self.progress.iters
        tested = self.progress.iters
        if self.progress.best_iters is not None and not skip_reload:
            cur_epoch, tested = "best", self.progress.best_iters
            path = self.output_dir / BEST_CHECKPOINT
            load_weights(self.bare_model, read_checkpoint(path)["model"], path)
        results = {}
        with RunLog(self.output_dir) as log:
            for split in self.tested:
                results[split] = result = self.eval_epoch(split, cur_epoch)
                if result is not None:
                    log.write_results("test", tested, split, result)
        return results

    @torch.no_grad()
    def eval_epoch(self, split_name: str, cur_epoch: int | str) -> Mapping[str, Any] | None:
        """Evaluates one split.

        Every process gets a loader over the whole split, so any LAVIS task works in a distributed run. A task that can
        divide the work runs its model over `loaders.share_of_loader(loader)` (for a list: `distributed.own_share`) and
        merges the rows with `distributed.gather_in_order`. Every process then has all rows and computes the same
        metrics.
        """
        dataset = find_split(self.datasets, split_name)
        if split_name not in self._eval_loaders:
            batch_size = int(self.run_cfg.batch_size_eval)
            loader = evaluation_loader(dataset, batch_size, self.num_workers, self.cuda_enabled)
            self._eval_loaders[split_name] = loader
        model = self.bare_model.eval()
        self.task.before_evaluation(model=model, dataset=dataset)
        results = self.task.evaluation(model, self._eval_loaders[split_name], cuda_enabled=self.cuda_enabled)
        if self.use_distributed:
            (stop,) = max_anywhere([requested()], self.device)
            if stop:
                raise Interrupted(int(stop))
        if results is None:
            return None
        return self.task.after_evaluation(val_result=results, split_name=split_name, epoch=cur_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Returns the run's state in tensors and plain types. All processes must call it together.

        Returns:
            Dict with `model` (all weights and buffers, including frozen ones), `optimizer`, `scaler`, the counters of
            `Progress`, `rng` (one state per process), `data_order` and `config`.
        """
        return {
            "model": self.bare_model.state_dict(),
            "optimizer": optimizer_state(self.optimizer),
            "scaler": self.scaler.state_dict(),
            **self.progress.state_dict(),
            "rng": gather_objects(random_state(self.cuda_enabled)),
            "data_order": self.data_order.state_dict(),
            "config": self.saved_config(),
        }

    def saved_config(self) -> dict[str, Any]:
        """Returns the configuration with the model's own vocabulary, if any: a checkpoint then needs no other file."""
        config = plain(self.config.config)
        vocabulary = getattr(self.bare_model, "carried_vocabulary", None)
        return config if vocabulary is None else {**config, "vocabulary": vocabulary()}

    def load_state_dict(self, state: dict[str, Any], path: Path) -> None:
        """Restores the state of a run with the same configuration.

        Args:
            state: content of the checkpoint.
            path: path of the checkpoint, for errors.

        Raises:
            UserError: the file holds only weights, its state is invalid, or it belongs to another training.
        """
        check_run_state(state, path)
        check_same_training(state, path, plain(self.config.config), self.data_order, self.length)
        optimizer = check_optimizer(state["optimizer"], self.optimizer, path)
        load_weights(self.bare_model, state["model"], path)
        load_optimizer_state(self.optimizer, optimizer)
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.progress.load_state_dict(state)
        restore_random_state(state["rng"][get_rank()])

    def log_config(self) -> None:
        """Writes the whole configuration to `config.yaml`."""
        if is_main_process():
            save_config(self.config.config, self.output_dir)

    # The parts of a run, each built when it is first used.

    @property
    def evaluate_only(self) -> bool:
        return bool(self.run_cfg.get("evaluate", False))

    @property
    def use_distributed(self) -> bool:
        return is_dist_avail_and_initialized()

    @property
    def log_freq(self) -> int:
        return int(self.run_cfg.get("log_freq", 10))

    @property
    def train_loader(self) -> DataLoader:
        """Endless loader that starts at the batch that the run has reached."""
        first = self.progress.iters * self.accum_grad_iters
        return training_loader(
            find_split(self.datasets, "train"),
            self.batches.starting_at(first),
            self.data_order.seed,
            self.num_workers,
            self.cuda_enabled,
            self._preparation(),
            first,
        )

    def _preparation(self) -> Prepare | None:
        """Returns the task's preparation of a numbered batch; LAVIS's tasks have none."""
        preparation = getattr(self.task, "preparation", lambda model: None)(self.bare_model)
        return None if preparation is None else partial(_prepare_numbered, preparation, self.accum_grad_iters)

    @property
    def bare_model(self) -> nn.Module:
        """The model on its device, never wrapped."""
        return self._model.to(self.device)

    @cached_property
    def model(self) -> nn.Module:
        """The model to train: wrapped for data parallelism in a distributed run."""
        if not self.use_distributed:
            return self.bare_model
        return DistributedDataParallel(
            self.bare_model,
            device_ids=[self.device] if self.cuda_enabled else None,
            find_unused_parameters=True,  # each objective uses different parameters
        )

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        return build_optimizer(self.bare_model, self.run_cfg)

    @cached_property
    def scaler(self) -> torch.amp.GradScaler:
        """Gradient scaler, active in fp16 only."""
        return torch.amp.GradScaler(self.device.type, enabled=self.amp_dtype == torch.float16)

    @cached_property
    def lr_scheduler(self) -> IterationSchedule:
        return build_schedule(self.optimizer, self.run_cfg, self.length.schedule_length)


def _prepare_numbered(preparation: Callable, accumulate: int, samples: Any, number: int) -> Any:
    """Prepares the batch with this number in a run whose updates take `accumulate` batches each."""
    return preparation(samples, *divmod(number, accumulate))
