"""The training loop: iterations instead of epochs, on CPU, one GPU or under torchrun, exact in resuming.

It replaces the parts of LAVIS's ``RunnerIter`` that need a GPU or a process group, lose state in checkpoints,
or write into the installed library; tasks and models are driven as LAVIS drives them.
"""

import logging
import math
import time
from collections import defaultdict
from contextlib import nullcontext
from pathlib import Path

import torch
from lavis.common.dist_utils import is_dist_avail_and_initialized, is_main_process
from lavis.common.registry import registry
from lavis.datasets.data_utils import apply_to_sample
from lavis.runners.runner_base import RunnerBase
from lavis.runners.runner_iter import RunnerIter
from omegaconf import OmegaConf
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Dataset, IterableDataset

from fashionfae_lavis.checkpoints import load_weights, read_checkpoint, save_atomically
from fashionfae_lavis.datasets.loaders import evaluation_loader, training_loader
from fashionfae_lavis.distributed import gather_objects, true_anywhere
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.runners.curves import draw_curves
from fashionfae_lavis.runners.joint import data_order, join_splits, training_batches
from fashionfae_lavis.runners.length import RunLength
from fashionfae_lavis.runners.logs import METRICS_FILE, RunLog
from fashionfae_lavis.runners.optimizers import autocast_dtype, build_optimizer, build_schedule
from fashionfae_lavis.runners.output_folder import (
    BEST_CHECKPOINT,
    LAST_CHECKPOINT,
    checkpoint_to_resume,
    make_output_folder,
)
from fashionfae_lavis.runners.run_state import restore_run, run_state


@registry.register_runner("fashionfae_runner")
class FashionRunner(RunnerIter):
    """Train for ``run.max_iters`` updates (or ``run.max_epoch`` epochs, or ``run.max_minutes``) and evaluate.

    Every ``run.iters_per_inner_epoch`` updates (default: an epoch) it evaluates ``run.valid_splits``, writes
    ``checkpoint_last.pth``, and ``checkpoint_best.pth`` if ``agg_metrics`` of the first of these splits has
    improved. The output folder also gets ``config.yaml``, ``metrics.jsonl``, TensorBoard events and
    ``curves.png``. An iteration is one update of the weights, of ``run.accum_grad_iters`` batches; logs and
    messages count from 1, ``samples["iters"]`` from 0. For a length in minutes see ``length.py``, for several data sets
    and their splits ``joint.py``.

    Raises:
        UserError: a setting that makes no sense, a folder that cannot be written to, a checkpoint that does
            not fit, or (in :meth:`train`) a loss that is not finite.
    """

    def __init__(self, cfg, task, model, datasets, job_id):
        # not RunnerIter's, which cannot work out the length from the data
        RunnerBase.__init__(self, cfg, task, model, datasets, job_id)
        self.datasets = join_splits(datasets)
        self.amp_dtype = autocast_dtype(cfg.run_cfg.get("amp"), self.device)
        self.iters = 0
        self.seconds = 0.0  # spent in updates, those before a resumption included
        self.best_metric, self.best_iters = -math.inf, None
        self._eval_loaders = {}
        if not self.evaluate_only:
            self._set_length(cfg.run_cfg)

    def _set_length(self, run) -> None:
        self.data_order = data_order(self._dataset("train"), run)
        self.batches = training_batches(self.data_order)
        self.iters_per_epoch = max(1, self.batches.batches_per_epoch // self.accum_grad_iters)
        if run.get("max_iters"):
            self.max_iters = int(run.max_iters)
        elif run.get("max_epoch"):
            self.max_iters = int(run.max_epoch) * self.iters_per_epoch
        else:
            raise UserError("The length of training is not set: give run.max_iters or run.max_epoch.")
        self.iters_per_inner_epoch = int(run.get("iters_per_inner_epoch") or self.iters_per_epoch)
        self.length = RunLength.of(run, self.max_iters)

    @property
    def is_over(self) -> bool:
        """Whether training has come to its end."""
        return self.length.is_over(self.iters, self.seconds)

    def setup_output_dir(self):
        """Create the run's folder (a resumed run's is its checkpoint's) and tell LAVIS's tasks of it."""
        self.output_dir = Path.cwd() / self.config.run_cfg.output_dir / self.job_id
        choice = None if self.evaluate_only else self.resume_ckpt_path
        self._resume_from = checkpoint_to_resume(choice, self.output_dir)
        if self._resume_from is not None:
            self.output_dir = self._resume_from.parent
        self.result_dir = make_output_folder(self.output_dir)
        # not registry.register_path, which refuses a second run in the same process
        registry.mapping["paths"]["output_dir"] = str(self.output_dir)
        registry.mapping["paths"]["result_dir"] = str(self.result_dir)

    @property
    def evaluate_only(self) -> bool:
        return bool(self.config.run_cfg.get("evaluate", False))

    @property
    def use_distributed(self) -> bool:
        return is_dist_avail_and_initialized()

    @property
    def log_freq(self) -> int:
        return int(self.config.run_cfg.get("log_freq", 10))

    @property
    def bare_model(self):
        """The model on its device, never wrapped."""
        return self._model.to(self.device)

    @property
    def model(self):
        """The model as it is trained: wrapped for data-parallel training in a distributed run."""
        if self._wrapped_model is None:
            self._wrapped_model = self.bare_model
            if self.use_distributed:
                self._wrapped_model = DistributedDataParallel(
                    self.bare_model,
                    device_ids=[self.device] if self.cuda_enabled else None,
                    # the objective changes from step to step, and with it the parameters in use
                    find_unused_parameters=True,
                )
        return self._wrapped_model

    @property
    def optimizer(self):
        if self._optimizer is None:
            self._optimizer = build_optimizer(self.bare_model, self.config.run_cfg)
        return self._optimizer

    @property
    def scaler(self):
        """Gradient scaler, active for fp16 only (inactive it changes nothing)."""
        if self._scaler is None:
            self._scaler = torch.amp.GradScaler(self.device.type, enabled=self.amp_dtype == torch.float16)
        return self._scaler

    @property
    def lr_scheduler(self):
        if self._lr_sched is None:
            self._lr_sched = build_schedule(self.optimizer, self.config.run_cfg, self.max_iters)
        return self._lr_sched

    @property
    def num_workers(self) -> int:
        return int(self.config.run_cfg.get("num_workers", 0))

    @property
    def train_loader(self):
        """Endless loader that starts at the batch the run has come to."""
        self.batches.first = self.iters * self.accum_grad_iters
        dataset, seed = self._dataset("train"), self.data_order["run.seed"]
        return training_loader(dataset, self.batches, seed, self.num_workers, self.cuda_enabled)

    def train(self) -> dict:
        """Train, then test; with ``run.evaluate: true``, or a run that is already finished, only test.

        Returns:
            split name -> what the task's ``after_evaluation`` returned, for each of ``run.test_splits``.
        """
        self.log_config()
        if self.evaluate_only:
            return self.evaluate(skip_reload=True)
        if self._resume_from is not None:
            restore_run(self, self._resume_from)
            logging.info("Continuing %s after iteration %d.", self._resume_from, self.iters)
        end = self.max_iters if self.length.max_minutes is None else math.inf
        with RunLog(self.output_dir, self.iters, end) as log:
            batches = iter(self.train_loader)
            while not self.is_over:
                self._train_inner_epoch(batches, log)
                improved = self._validate(log)
                state = run_state(self)
                if is_main_process():
                    if improved:  # first: a run killed before the last is written will do both again
                        save_atomically(state, self.output_dir / BEST_CHECKPOINT)
                    save_atomically(state, self.output_dir / LAST_CHECKPOINT)
        del batches  # and with it the worker processes
        if is_main_process():
            draw_curves(self.output_dir / METRICS_FILE, self.output_dir / "curves.png")
        return self.evaluate()

    def _train_inner_epoch(self, batches, log: RunLog) -> None:
        self.model.train()
        ends = False
        while not ends:
            start = time.perf_counter()
            lr = self.lr_scheduler.step(self.length.place(self.iters, self.seconds))
            log.add_losses(self._update(batches))
            self.iters += 1
            self.seconds += time.perf_counter() - start
            if self.length.max_minutes is not None:  # all processes stop by the clock of the first
                self.seconds = gather_objects(self.seconds)[0]
            ends = self.iters % self.iters_per_inner_epoch == 0 or self.is_over
            if ends or self.iters % self.log_freq == 0:
                log.write_losses(self.iters, lr)

    def _update(self, batches) -> dict[str, float]:
        """One update of the weights; returns this process's losses, averaged over its batches."""
        losses = defaultdict(list)
        accumulate = self.accum_grad_iters
        for micro_step in range(accumulate):
            samples = apply_to_sample(lambda x: x.to(self.device, non_blocking=True), next(batches))
            # LAVIS's models count iterations as epoch * num_iters_per_epoch + iters; our iters is all of it
            samples.update(iters=self.iters, micro_step=micro_step)
            samples.update(epoch=0, num_iters_per_epoch=self.iters_per_epoch)
            waits = self.use_distributed and micro_step < accumulate - 1
            with self.model.no_sync() if waits else nullcontext():
                with torch.autocast(self.device.type, self.amp_dtype, enabled=self.amp_dtype is not None):
                    output = self.task.train_step(model=self.model, samples=samples)
                if not isinstance(output, dict):
                    output = {"loss": output}
                self.scaler.scale(output["loss"] / accumulate).backward()
            for name, value in output.items():
                losses[name].append(float(value.detach()))
        losses = {name: sum(values) / len(values) for name, values in losses.items()}
        self.scaler.unscale_(self.optimizer)
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        limit = float(self.config.run_cfg.get("max_grad_norm") or math.inf)
        self._check_finite(losses, float(torch.nn.utils.clip_grad_norm_(parameters, limit)))
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return losses

    def _check_finite(self, losses: dict[str, float], gradient_norm: float) -> None:
        """Stop all processes, before the update, if one has a loss or gradient that is not finite."""
        bad = [name for name, value in losses.items() if not math.isfinite(value)]
        skips = self.scaler.is_enabled()  # fp16 passes over an infinite gradient and lowers its scale
        if not bad and not skips and not math.isfinite(gradient_norm):
            bad = [name for name in losses if name.startswith("loss")]
        if not true_anywhere(bool(bad), self.device):
            return
        names = sorted({name for process in gather_objects(bad) for name in process})
        objectives = [name.removeprefix("loss_") for name in names if name.startswith("loss_")] or names
        last = self.output_dir / LAST_CHECKPOINT
        good = f"the last good checkpoint is {last}" if last.exists() else "there was no checkpoint yet"
        raise UserError(
            f"The loss or gradient of {', '.join(objectives)} is not finite at iteration {self.iters + 1}: "
            f"training has stopped and {good}; a lower run.init_lr or run.max_grad_norm may help."
        )

    def _validate(self, log: RunLog) -> bool:
        """Evaluate the validation splits; returns whether the first of them has improved on its best."""
        splits = self.config.run_cfg.get("valid_splits") or []
        metrics = []
        for split in splits:
            result = self.eval_epoch(split, cur_epoch=self.iters)
            if result is not None:
                if "agg_metrics" not in result:
                    raise UserError(f"run.valid_splits: the task gives no agg_metrics to compare {split} by.")
                log.write_results("validation", self.iters, split, result)
            metrics.append(result and float(result["agg_metrics"]))
        # from the first process: LAVIS's tasks may give the others no result
        metric = gather_objects(metrics[0] if metrics else None)[0]
        if metric is None or not metric > self.best_metric:
            return False
        self.best_metric, self.best_iters = metric, self.iters
        return True

    def evaluate(self, cur_epoch="best", skip_reload=False) -> dict:
        """Test the best weights of this run if there are any (unless ``skip_reload``), else those at hand."""
        cur_epoch = tested = self.iters
        if self.best_iters is not None and not skip_reload:
            cur_epoch, tested = "best", self.best_iters
            path = self.output_dir / BEST_CHECKPOINT
            load_weights(self.bare_model, read_checkpoint(path)["model"], path)
        results = {}
        with RunLog(self.output_dir) as log:
            for split in self.config.run_cfg.get("test_splits") or []:
                results[split] = self.eval_epoch(split, cur_epoch)
                if results[split] is not None:
                    log.write_results("test", tested, split, results[split])
        return results

    @torch.no_grad()
    def eval_epoch(self, split_name: str, cur_epoch) -> dict | None:
        """Evaluate one split.

        The task gets a loader over the whole split on every process, so that any task of LAVIS is right in a
        distributed run. One that can share the work runs its model over ``data_order.share_of_loader(loader)`` (of a
        list: ``distributed.own_share``) and puts the rows together with ``distributed.gather_in_order``, after which
        every process has the rows of the whole split and computes the same figures.
        """
        dataset = self._dataset(split_name)
        if split_name not in self._eval_loaders:
            batch_size = int(self.config.run_cfg.batch_size_eval)
            loader = evaluation_loader(dataset, batch_size, self.num_workers, self.cuda_enabled)
            self._eval_loaders[split_name] = loader
        model = self.bare_model.eval()
        self.task.before_evaluation(model=model, dataset=dataset)
        results = self.task.evaluation(model, self._eval_loaders[split_name], cuda_enabled=self.cuda_enabled)
        if results is None:
            return None
        return self.task.after_evaluation(val_result=results, split_name=split_name, epoch=cur_epoch)

    def log_config(self):
        """Write the whole configuration to ``config.yaml``."""
        if is_main_process():
            OmegaConf.save(self.config.config, self.output_dir / "config.yaml", resolve=True)

    def _dataset(self, split: str) -> Dataset:
        dataset = self.datasets.get(split)
        if dataset is None or isinstance(dataset, IterableDataset):
            known = ", ".join(self.datasets)
            raise UserError(f"There is no split '{split}' that can be indexed; the data sets give {known}.")
        return dataset
