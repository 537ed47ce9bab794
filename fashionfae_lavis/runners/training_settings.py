"""The settings that determine a training. A checkpoint resumes only under settings equal to those in its `config`.

All settings of `run`, `model` and `datasets` count, except those listed here. Settings that a future version or a
user's own task adds therefore count, too.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lavis.common.registry import registry

from fashionfae_lavis.runners.schedules import IterationSchedule

# Keys that do not change the training, only where or how fast it computes, what it prints, or what it evaluates.
FREE = {
    *(f"run.{key}" for key in ("device", "gpu", "rank", "world_size", "distributed", "dist_url", "dist_backend")),
    *(f"run.{key}" for key in ("num_workers", "output_dir", "resume_ckpt_path", "log_freq", "evaluate")),
    *(f"run.{key}" for key in ("iters_per_inner_epoch", "checkpoint_minutes")),
    *(f"run.{key}" for key in ("test_splits", "batch_size_eval", "use_dist_eval_sampler", "report_metric")),
    *(f"run.{key}" for key in ("candidates", "k_test", "probe_products", "caption_products")),
    *(f"run.{key}" for key in ("num_beams", "max_len", "min_len", "search_attributes")),
    *(f"run.search_roles.{role}" for role in ("category", "sub_category", "fine_category", "colour")),
    *("run.compile", "run.shard_optimizer", "model.grad_ckpt"),
}
# Keys of files that a user may move. A checkpoint named by its path resumes with other values; `auto` does not.
MOVABLE = {"model.bert", "model.vit", "model.vocabulary"}
MOVABLE_ENDINGS = (".storage", ".url")
# Defaults of keys: a run that names the default equals one that omits the key.
DEFAULTS = {
    "run.accum_grad_iters": 1,
    "run.seed": 42,
    "run.optimizer": "adamw",
    "run.weight_decay": 0,
    "run.beta2": 0.999,
    "run.warmup_steps": 0,
    "run.warmup_factor": 0.25,
    "run.min_lr": 0,
    "run.lr_decay_rate": 0.1,
    "run.quantize_after": 0,
}
LENGTH = ("run.max_iters", "run.max_epoch")
FIRST_STAGE = "model.image_tokenizer.weights"  # the run itself sets this key after its first stage


def difference(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path, moved: bool = False) -> str | None:
    """Describes the first setting that differs, as "run.seed = 1, not 2"; returns None if all are equal.

    Args:
        before: configuration of a run, in plain containers.
        now: the present configuration.
        folder: the run's folder.
        moved: whether to ignore where data and vocabularies are.
    """
    old, new = dict(_settings(before, folder)), dict(_settings(now, folder))
    for key in {**old, **new}:
        default = DEFAULTS.get(key)
        first, second = old.get(key, default), new.get(key, default)
        if first == second or (moved and (key in MOVABLE or key.endswith(MOVABLE_ENDINGS))):
            continue
        if key in LENGTH and _is_longer(first, second, new):
            continue
        return f"{key} = {_shown(first, before, key)}, not {_shown(second, now, key)}"
    return None


def _shown(value: Any, config: Mapping[str, Any], key: str) -> Any:
    """Returns a setting for a message, in YAML's notation; one that counts as not set is "false" or "unset"."""
    if value is None:
        section = key.split(".")[0]
        value = dict(_leaves(config.get(section), section)).get(key)
    if isinstance(value, bool):
        return str(value).lower()
    return "unset" if value is None or value in ("", []) else value


def _settings(config: Mapping[str, Any], folder: Path) -> Iterator[tuple[str, Any]]:
    """Yields the dotted key and the value of each setting that counts; an empty value or False counts as not set."""
    own_stage = (folder.name, "image_tokenizer", "checkpoint_last.pth")
    for section in ("run", "model", "datasets"):
        for key, value in _leaves(config.get(section), section):
            stage = key == FIRST_STAGE and Path(str(value)).parts[-3:] == own_stage
            is_set = value is not None and value is not False and value not in ("", [])  # 0 is set
            if key not in FREE and not stage and is_set:
                yield key, value


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(item, f"{key}.{name}")
    else:
        yield key, value


def _is_longer(before: Any, now: Any, settings: Mapping[str, Any]) -> bool:
    """Returns whether a length has grown under a schedule that does not depend on it, which keeps resuming exact."""
    schedule = registry.get_lr_scheduler_class(str(settings.get("run.lr_sched")))
    if schedule is None or not issubclass(schedule, IterationSchedule) or schedule.depends_on_length:
        return False
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (before, now))
    scaled = any(settings.get(f"run.{key}") is not None for key in ("max_minutes", "warmup_share"))
    return numbers and now > before and not scaled
