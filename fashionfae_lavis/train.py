"""What `python -m lavis.train` runs: a configuration's first stage, if it names one, then its training and tests."""

import argparse
import copy
import gc
import json
import logging
import random
import sys
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from lavis import tasks
from lavis.common.config import Config
from lavis.common.dist_utils import get_rank, is_main_process
from lavis.common.logger import setup_logger
from lavis.common.registry import registry
from omegaconf import OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from fashionfae_lavis.distributed import gather_objects, init_distributed
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.runners.output_folder import LAST_CHECKPOINT, find_newest_run

STAGE = "image_tokenizer"


def main(evaluate: bool = False) -> None:
    """Command line of `lavis.train` and, with `evaluate`, of `lavis.evaluate`; user errors end as one sentence."""
    parser = argparse.ArgumentParser(
        prog=f"python -m lavis.{'evaluate' if evaluate else 'train'}",
        description="Test a model." if evaluate else "Train and test a model.",
    )
    parser.add_argument("--cfg-path", required=True, help="yaml file, such as projects/fashionfae/pretrain.yaml")
    parser.add_argument(
        "--options",
        nargs="+",
        metavar="KEY=VALUE",
        help="override keys of the file, such as run.max_iters=100",
    )
    args = parser.parse_args()
    try:
        run_config(load_config(args), evaluate)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    finally:
        if dist.is_initialized():
            gc.collect()  # a wrapped model that outlives the group would abort the process at its end
            dist.destroy_process_group()


def load_config(args: argparse.Namespace) -> Config:
    """LAVIS's configuration (the file over the defaults of its model and data sets, `args.options` over both).

    Raises:
        UserError: the file is missing or not yaml, or it names an unknown model, data set, task or runner.
    """
    path = Path(args.cfg_path)
    if not path.is_file():
        raise UserError(f"There is no configuration file {path} (working directory: {Path.cwd()}).")
    try:
        content = OmegaConf.load(path)
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a yaml configuration: {' '.join(str(error).split())}") from error
    for key in ("model", "datasets", "run"):
        if not OmegaConf.is_dict(content) or not content.get(key):
            raise UserError(
                f"{path} lacks the key `{key}`; projects/fashionfae/pretrain.yaml shows all that is needed."
            )
    bad = [option for option in args.options or [] if "=" not in option]
    if bad:
        raise UserError(f"--options takes KEY=VALUE, such as run.max_iters=100, not {bad[0]!r}.")
    chosen = OmegaConf.select(OmegaConf.from_dotlist(args.options or []), "model.arch")
    _check_known("model.arch", chosen or content.model.get("arch"), registry.list_models())
    for name in content.datasets:
        _check_known("datasets", name, registry.mapping["builder_name_mapping"])
    _check_known("run.task", content.run.get("task"), registry.list_tasks())
    _check_known("run.runner", content.run.get("runner", "runner_base"), registry.list_runners())
    return _Config(args)


class _Config(Config):
    """LAVIS's, but the defaults are those of the model that the options name, where LAVIS takes those of the file's."""

    @staticmethod
    def build_model_config(config, **options):
        chosen = {key: value for key, value in options.get("model", {}).items() if key in ("arch", "model_type")}
        return Config.build_model_config(OmegaConf.merge(config, {"model": chosen}))


def _check_known(key: str, name: str | None, known) -> None:
    if name in known:
        return
    close = get_close_matches(str(name), list(known))
    hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(sorted(known))}."
    raise UserError(f"`{key}`: LAVIS knows no {name!r}; {hint}")


def run_config(cfg: Config, evaluate: bool = False) -> dict:
    """Run a configuration, its first stage first.

    Returns:
        split name -> results of `run.test_splits`.
    """
    run = cfg.run_cfg
    with open_dict(run):
        run.evaluate = bool(evaluate or run.get("evaluate", False))
    init_distributed(run)
    setup_logger()
    job_id = choose_job_id(run)
    if run.get(STAGE) and not run.evaluate:
        train_image_tokenizer(cfg, job_id)
    return run_stage(cfg, job_id)


def choose_job_id(run) -> str:
    """The newest run's folder name if `run.resume_ckpt_path` is auto, else the time; the same on all ranks."""
    resume = run.get("resume_ckpt_path") == "auto" and not run.evaluate
    newest = find_newest_run(run.output_dir) if resume else None
    return gather_objects(newest.name if newest else datetime.now().strftime("%Y%m%d_%H%M%S"))[0]


def train_image_tokenizer(cfg: Config, job_id: str) -> None:
    """First stage: train the image tokenizer of the model on its data, unless it is already trained.

    Its keys are those of `run`, with those of `run.image_tokenizer` over them; its output is a folder of that name in
    the run's own. Afterwards `model.image_tokenizer.weights` names its checkpoint.
    """
    run, model = cfg.run_cfg, cfg.model_cfg
    folder = Path(run.output_dir) / job_id
    resumed = run.get("resume_ckpt_path")
    if model.image_tokenizer.get("weights") or (resumed and (resumed != "auto" or (folder / LAST_CHECKPOINT).exists())):
        return
    stage = copy.copy(cfg)
    inherited = {key: value for key, value in run.items() if key not in (STAGE, "steps", "lr_scale")}
    own = {"task": "fashionfae_image_tokenizer", "output_dir": str(folder), "valid_splits": []}
    stage.config = OmegaConf.create(
        {
            "model": {**model.image_tokenizer, "arch": "fashionfae_image_tokenizer"},
            "datasets": cfg.datasets_cfg,
            "run": {**inherited, **own, **run[STAGE]},
        }
    )
    logging.info("First stage: the image tokenizer.")
    run_stage(stage, STAGE)
    with open_dict(model):
        model.image_tokenizer.weights = str(Path.cwd() / folder / STAGE / LAST_CHECKPOINT)


def run_stage(cfg: Config, job_id: str) -> dict:
    """Build data, model and runner of one stage, train and test it, and report; returns the test results."""
    run = cfg.run_cfg
    seed = int(run.get("seed", 42)) + get_rank()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    task = tasks.setup_task(cfg)
    datasets = task.build_datasets(cfg)
    model = build_model(task, cfg)
    runner_class = registry.get_runner_class(run.get("runner", "runner_base"))
    runner = runner_class(cfg=cfg, job_id=job_id, task=task, model=model, datasets=datasets)
    results = runner.train() or {}
    if is_main_process() and hasattr(task, "format"):
        report(task, model, results, Path(runner.output_dir))
    return results


def build_model(task, cfg: Config):
    """The task's model; a download of LAVIS's that fails becomes one sentence."""
    try:
        return task.build_model(cfg)
    except OSError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"`model`: {cfg.model_cfg.arch} needs a file that cannot be had ({reason}): go online, or train one of our "
            "from-scratch models, such as fashion_blip, fashion_albef or fashion_clip."
        ) from error


def report(task, model, results: dict, folder: Path) -> None:
    """Print the results as tables, write them to results.json, and say where the pictures are."""
    for split, result in results.items():
        if hasattr(task, "report") and split == list(results)[-1]:  # the one whose embeddings the task has at hand
            result.update(task.report(model, folder))
        print(f"\n{split}\n{task.format(result)}", flush=True)
    if results:
        (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    paths = [*sorted(folder.glob("*.png")), *folder.glob("results.json")]
    print("".join(f"\n{path.stem + ':':<10} {path}" for path in paths) + "\n", flush=True)


if __name__ == "__main__":
    main()
