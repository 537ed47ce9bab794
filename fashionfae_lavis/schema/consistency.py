"""Checks of settings that must fit each other. None reads data or weights."""

from collections.abc import Mapping
from typing import Any

from lavis.common.registry import registry

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.runners.joint import AUTO
from fashionfae_lavis.runners.length import not_set
from fashionfae_lavis.runners.schedules import IterationSchedule
from fashionfae_lavis.schema.datasets import (
    SPLITS,
    Data,
    FashionGen,
    ImageProcessor,
    OtherProcessor,
    Products,
)
from fashionfae_lavis.schema.fields import alternatives
from fashionfae_lavis.schema.models import Baseline, Model, Momentum, Pretrained
from fashionfae_lavis.schema.run import Run
from fashionfae_lavis.schema.validation import above, show
from fashionfae_lavis.suggestions import hint
from fashionfae_lavis.tasks.base import FashionTask
from fashionfae_lavis.text.product_text import ATTRIBUTES, prompt_names

OUR_RUNNER = "fashionfae_runner"
# Keys without which a runner cannot train.
NEEDED = {
    OUR_RUNNER: ("batch_size_train", "init_lr", "lr_sched"),
    "runner_base": (
        *("max_epoch", "batch_size_train", "batch_size_eval", "num_workers"),
        *("init_lr", "min_lr", "weight_decay", "lr_sched"),
    ),
    "runner_iter": (
        *("max_iters", "iters_per_inner_epoch", "batch_size_train", "batch_size_eval", "num_workers"),
        *("init_lr", "min_lr", "weight_decay", "lr_sched"),
    ),
}
CLASSIFIERS = ("fashion_blip_recognition", "fashion_albef_recognition")
INSTEAD = {"retrieval": "fashion_retrieval", "captioning": "fashion_captioning"}  # LAVIS's task -> ours
QUEUED = ("fashion_blip", "fashion_blip_retrieval", "fashion_albef", "fashion_albef_retrieval")


def check_training(run: Run, where: str) -> None:
    """Checks the settings of a training.

    Args:
        run: the `run` section, or that of the first stage.
        where: its dotted path.

    Raises:
        UserError: a setting is missing, or two do not fit each other.
    """
    task = registry.get_task_class(run.task)
    if not getattr(task, "trains", True):
        raise UserError(f"{where}.task is {run.task}, which trains nothing: run it with `python -m lavis.evaluate`.")
    for key in NEEDED.get(run.runner, ()):
        if getattr(run, key) is None or key not in run.model_fields_set:
            raise UserError(f"{where}.{key} is not set, but {run.runner} needs it to train.")
    if run.from_scratch and not getattr(task, "starts_from_checkpoint", True):
        raise UserError(
            f"{where}.from_scratch is true, but {run.task} does not read it: set model.load_pretrained to False to "
            "train from random weights."
        )
    if run.compile and not (run.runner == OUR_RUNNER and isinstance(task, type) and issubclass(task, FashionTask)):
        raise UserError(
            f"{where}.compile is true, but {run.task} on {run.runner} does not read it: set it to false, or use a task "
            f"of FashionFAE on {OUR_RUNNER}."
        )
    if run.runner == OUR_RUNNER:
        check_length(run, where)
        if run.train_splits not in (None, ["train"]):
            raise UserError(
                f"{where}.train_splits is {run.train_splits}, but {OUR_RUNNER} trains on the split train of every "
                "dataset: set it to [train]."
            )
    elif run.runner in NEEDED and run.max_epoch is not None and not run.max_epoch.is_integer():
        raise UserError(f"{where}.max_epoch is {run.max_epoch:g}, but {run.runner} needs a whole number.")
    check_schedule(run, where)


def check_length(run: Run, where: str) -> None:
    """Checks the length of training, and that the schedule is given in a unit that this length has.

    Raises:
        UserError: there is no length, the warm-up is given twice, or updates are named although only the minutes are
            known.
    """
    if run.warmup_steps and run.warmup_share is not None:
        raise UserError(
            f"{where}.warmup_steps and {where}.warmup_share are both set: set the first to 0 or the second to null."
        )
    if run.max_iters is not None or run.max_epoch is not None:
        return
    if run.max_minutes is None:
        raise not_set(where)
    if run.warmup_steps:
        raise UserError(
            f"{where}.warmup_steps counts updates, whose number {where}.max_minutes leaves open: set it to 0 and give "
            f"{where}.warmup_share, such as 0.05."
        )
    if run.milestones:
        raise UserError(
            f"{where}.milestones counts updates, whose number {where}.max_minutes leaves open: give {where}.max_iters, "
            "too, as the length of the schedule."
        )


def check_schedule(run: Run, where: str) -> None:
    """Checks the learning-rate schedule; raises UserError if it is unknown or ends above its start."""
    ours = run.runner == OUR_RUNNER  # which needs schedules per update
    schedules = {name: registry.get_lr_scheduler_class(name) for name in registry.list_lr_schedulers()}
    known = [name for name, schedule in schedules.items() if not ours or issubclass(schedule, IterationSchedule)]
    if run.lr_sched is not None and run.lr_sched not in known:
        raise UserError(f"{where}.lr_sched is {show(run.lr_sched)}, but must be {alternatives(sorted(known))}.")
    if run.init_lr is not None and run.min_lr > run.init_lr:
        raise UserError(f"{where}.min_lr is {run.min_lr:g}, but must be at most {where}.init_lr, {run.init_lr:g}.")


def check_evaluation(run: Run) -> None:
    """Checks the settings of an evaluation.

    Raises:
        UserError: the batch size is missing, or lengths of captions contradict each other.
    """
    if run.runner == OUR_RUNNER and run.batch_size_eval is None and (run.valid_splits or run.test_splits):
        raise UserError("run.batch_size_eval is not set, but run.valid_splits or run.test_splits name a split.")
    if run.task == "fashion_captioning" and run.min_len > run.max_len:
        raise above("run.min_len", run.min_len, "run.max_len", run.max_len)


def check_splits(run: Run, datasets: Mapping[str, Data | None]) -> None:
    """Checks that the splits to evaluate can exist, as far as all datasets are known.

    Args:
        run: the `run` section.
        datasets: dataset name -> its settings; None for a dataset that is not of this package.

    Raises:
        UserError: no dataset has a split of this name, or several have, or `auto` is used where it is not known.
    """
    if AUTO in (run.valid_splits or ()) or (AUTO in (run.test_splits or ()) and run.runner != OUR_RUNNER):
        raise UserError(f"{AUTO} names a split only in run.test_splits of {OUR_RUNNER}: name the split.")
    if run.runner != OUR_RUNNER or None in datasets.values():
        return
    splits = {name: next(SPLITS[kind] for kind in SPLITS if isinstance(data, kind)) for name, data in datasets.items()}
    if len(datasets) == 1:
        (known,) = map(list, splits.values())
    else:
        known = ["train", *(f"{name}.{split}" for name, names in splits.items() for split in names if split != "train")]
    for key in ("valid_splits", "test_splits"):
        for split in getattr(run, key) or ():
            # Whether a short name is unique depends on the files of catalogues.
            if split not in (AUTO, *known) and not any(name.endswith(f".{split}") for name in known):
                raise UserError(f"run.{key}: there is no split {show(split)}; {hint(split, known)}")


def check_task(run: Run, datasets: Mapping[str, Data | None]) -> None:
    """Checks that a task of LAVIS does not evaluate products, which it cannot read; raises UserError otherwise."""
    ours = INSTEAD.get(run.task)
    products = [name for name, data in datasets.items() if isinstance(data, Products)]
    if ours and products and (run.valid_splits or run.test_splits):
        raise UserError(f"run.task: LAVIS's {run.task} cannot evaluate {products[0]}: set it to {ours}.")


def check_recognition(run: Run, datasets: Mapping[str, Data | None]) -> None:
    """Checks that recognition has one dataset; raises UserError otherwise."""
    if run.task == "fashion_recognition" and len(datasets) > 1:
        raise UserError(f"`datasets`: recognition takes one dataset, not {', '.join(datasets)}.")


def check_classes(run: Run, model: Model) -> None:
    """Checks that a classifier of LAVIS gets its number of classes; raises UserError otherwise."""
    known = isinstance(model, Baseline) and model.num_classes is not None
    if model.arch in CLASSIFIERS and not known and run.task != "fashion_recognition":
        raise UserError(
            f"model.num_classes is not set, but {model.arch} needs it: set run.task to fashion_recognition, which "
            "takes it from the data."
        )


def check_ratios(run: Run, datasets: Mapping[str, Data | None]) -> None:
    """Checks that the ratios of joint training name the datasets; raises UserError otherwise."""
    ratios, key = run.train_dataset_ratios, "run.train_dataset_ratios"
    if not ratios or run.runner != OUR_RUNNER or None in datasets.values():
        return
    if len(datasets) == 1:
        raise UserError(f"{key} needs several datasets, but this run trains on one: remove it.")
    if set(ratios) != set(datasets):
        name = min(set(ratios) ^ set(datasets))
        problem = f"{show(name)} is not trained on" if name in ratios else f"{show(name)} is missing"
        raise UserError(f"{key}: {problem}; give a number for each of {', '.join(datasets)}.")


def check_gradient_cache(run: Run, datasets: Mapping[str, Data | None]) -> None:
    """Checks that an update has several batches to contrast, all of one dataset; raises UserError otherwise."""
    if not run.grad_cache:
        return
    if run.runner != OUR_RUNNER or not getattr(registry.get_task_class(run.task), "contrasts", False):
        problem = f"{run.task} with {run.runner} trains no ITC: set"
    elif run.accum_grad_iters == 1:
        problem = "run.accum_grad_iters is 1, so an update has a single batch: raise that, or set"
    elif len(datasets) > 1:
        problem = f"ITC would contrast products of {' and '.join(datasets)}: train on one dataset, or set"
    else:
        return
    raise UserError(f"run.grad_cache is true, but {problem} run.grad_cache to false.")


def check_stage(run: Run, model: Mapping[str, Any]) -> None:
    """Checks that the model has an image tokenizer for the first stage to train; raises UserError otherwise."""
    tokenizer = model.get("image_tokenizer")
    if run.image_tokenizer and not isinstance(tokenizer, Mapping):
        raise UserError(
            f"run.image_tokenizer trains model.image_tokenizer, but {model['arch']} has none: set run.image_tokenizer "
            "to null."
        )


def check_queue(run: Run, model: Model) -> None:
    """Checks that batches fill a queue of past embeddings evenly; raises UserError otherwise."""
    batch = run.batch_size_train
    if isinstance(model, Momentum) and model.arch in QUEUED and batch and model.queue_size % batch:
        raise UserError(
            f"model.queue_size is {model.queue_size}, but must be a multiple of run.batch_size_train, which is {batch}."
        )


def check_dataset(name: str, data: Data) -> None:
    """Checks the processors of a dataset of this package.

    Raises:
        UserError: a processor is unknown or cannot read the dataset's items, an image is cropped larger than it is, or
            the text states the label.
    """
    for kind in ("vis_processor", "text_processor"):
        for split in ("train", "eval"):
            processor = getattr(getattr(data, kind), split)
            key = f"datasets.{name}.{kind}.{split}"
            if isinstance(processor, ImageProcessor) and processor.resize < processor.image_size:
                raise UserError(
                    f"{key}.image_size is {processor.image_size}, but must be at most resize, {processor.resize}."
                )
            found = registry.get_processor_class(processor.name)
            if found is None:
                known = registry.mapping["processor_name_mapping"]
                raise UserError(
                    f"{key}.name: LAVIS knows no processor {show(processor.name)}; {hint(processor.name, known)}"
                )
            foreign = isinstance(processor, OtherProcessor) and found.__module__.startswith("lavis.")
            if (
                kind == "text_processor"
                and isinstance(data, Products)
                and (processor.name == "fashionfae_caption" or foreign)
            ):
                raise UserError(
                    f"{key}.name is {processor.name}, which cannot read products: set it to fashionfae_text."
                )
            states = prompt_names(ATTRIBUTES, processor.mode) if processor.name == "fashionfae_text" else ()
            if isinstance(data, FashionGen) and data.label in states:
                raise UserError(
                    f"{key}.mode is {processor.mode}, whose text states the {data.label} to be recognised: set it to "
                    "recognition."
                )


def check_image_sizes(model: Model, datasets: Mapping[str, Data | None]) -> None:
    """Checks that the datasets' images have the size that a model of this package reads; raises UserError otherwise."""
    if not isinstance(model, Pretrained):
        return
    for name, data in datasets.items():
        for split in ("train", "eval"):
            processor = data and getattr(data.vis_processor, split)
            if isinstance(processor, ImageProcessor) and processor.image_size != model.image_size:
                raise UserError(
                    f"datasets.{name}.vis_processor.{split}.image_size is {processor.image_size}, but "
                    f"model.image_size is {model.image_size}: set both to the same."
                )
