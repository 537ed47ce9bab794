"""The program behind `python -m lavis.train`: runs a configuration, including its first stage if it has one."""

import argparse
import copy
import gc
import json
import logging
import os
import random
import shlex
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
import torch.distributed as dist
from lavis import tasks
from lavis.common.config import Config
from lavis.common.dist_utils import get_rank, get_world_size, is_main_process
from lavis.common.logger import setup_logger
from lavis.common.registry import registry
from omegaconf import OmegaConf, open_dict

from fashionfae_lavis.config_options import add_config_options
from fashionfae_lavis.configuration import load_config
from fashionfae_lavis.distributed import gather_objects, init_distributed
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.results import HITS, EvaluationResult, save_hits
from fashionfae_lavis.files import replacing
from fashionfae_lavis.interruption import Interrupted, interruptible, requested
from fashionfae_lavis.preflight import check_files, check_same_on_all_processes, flat_settings
from fashionfae_lavis.reports.pictures import optional_picture
from fashionfae_lavis.runners import FashionRunner
from fashionfae_lavis.runners.output_folder import BEST_CHECKPOINT, LAST_CHECKPOINT, own_folder
from fashionfae_lavis.schema.run import first_stage
from fashionfae_lavis.tasks.base import FashionTask
from fashionfae_lavis.tasks.text_lengths import report_cut_texts

STAGE = "image_tokenizer"


def main(argv: Sequence[str] | None = None, evaluate: bool = False) -> None:
    """Runs the command line of `lavis.train` or, with `evaluate`, of `lavis.evaluate`.

    Args:
        argv: the arguments; None means the arguments of the process.
        evaluate: whether to test without training.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m lavis.{'evaluate' if evaluate else 'train'}",
        description="Test a model." if evaluate else "Train and test a model.",
    )
    add_config_options(parser)
    args = parser.parse_args(argv)
    arguments = sys.argv[1:] if argv is None else argv
    threading.excepthook = _report_thread
    try:
        with interruptible():
            run_config(load_config(args, evaluate), evaluate)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except Interrupted as stop:
        _end(stop.number, stop.folder, arguments, evaluate)
    finally:
        if dist.is_initialized():
            gc.collect()  # a DDP model that outlives the process group would abort the process at exit
            dist.destroy_process_group()


def _report_thread(failure: threading.ExceptHookArgs) -> None:
    """Reports a full disk or a deleted folder in TensorBoard's thread in one line, all else with its trace."""
    if issubclass(failure.exc_type, OSError):
        print(f"warning: {failure.exc_value}", file=sys.stderr)
    else:
        threading.__excepthook__(failure)


def _end(number: int, folder: Path | None, arguments: Sequence[str], evaluate: bool) -> NoReturn:
    """Says how to continue after a signal, and exits with the conventional status."""
    if is_main_process():
        name = signal.Signals(number).name
        saved = "every update is saved" if folder and find_newest_checkpoint(folder) else "nothing had to be saved"
        command = continuing_command(folder, arguments, evaluate)
        print(f"\nStopped by {name}, {saved}. To continue:\n  {command}", file=sys.stderr)
    sys.exit(128 + number)


def find_newest_checkpoint(folder: Path) -> Path | None:
    """Returns the last checkpoint in a run's folder, or else that of its first stage."""
    paths = (folder / LAST_CHECKPOINT, folder / STAGE / LAST_CHECKPOINT)
    return next((path for path in paths if path.is_file()), None)


def continuing_command(folder: Path | None, arguments: Sequence[str], evaluate: bool) -> str:
    """Returns the command line that continues a run.

    Args:
        folder: the run's folder. Without a checkpoint in it, the command is that of the run.
        arguments: the run's arguments.
        evaluate: whether the run only tests.
    """
    arguments = [argument for argument in arguments if not argument.startswith("run.resume_ckpt_path=")]
    checkpoint = folder and find_newest_checkpoint(folder)
    if checkpoint and not evaluate:
        # A path would skip the first stage.
        resume = checkpoint if folder and checkpoint.parent == folder else "auto"
        if "--options" not in arguments:
            arguments.append("--options")
        place = arguments.index("--options") + 1
        arguments.insert(place, f"run.resume_ckpt_path={resume}")
    elif arguments and arguments[-1] == "--options":
        arguments.pop()
    program = f"-m lavis.{'evaluate' if evaluate else 'train'}"
    processes, local = get_world_size(), os.environ.get("LOCAL_WORLD_SIZE", "1")
    nodes = f" --nnodes={processes // int(local)}" if processes > int(local) else ""
    launcher = f"torchrun{nodes} --nproc-per-node={local}" if processes > 1 else "python"
    return f"{launcher} {program} {shlex.join(arguments)}"


def run_config(cfg: Config, evaluate: bool = False) -> dict[str, Any]:
    """Runs a configuration, including its first stage.

    Args:
        cfg: LAVIS's configuration.
        evaluate: whether to test without training.

    Returns:
        Split of `run.test_splits` -> its result.

    Raises:
        UserError: a file that the run starts from is missing, or the processes have different configurations.
    """
    run = cfg.run_cfg
    with open_dict(run):
        run.evaluate = bool(evaluate or run.get("evaluate", False))
    check_files(cfg)
    settings = flat_settings(cfg)
    init_distributed(run)
    check_same_on_all_processes(settings)
    setup_logger()
    if not issubclass(registry.get_runner_class(run.get("runner", "runner_base")), FashionRunner):
        return run_stage(cfg, gather_objects(datetime.now().strftime("%Y%m%d_%H%M%S"))[0])
    with own_folder(cfg.config) as folder:
        try:
            if run.get(STAGE) and not run.evaluate:
                train_image_tokenizer(cfg, folder.name)
            return run_stage(cfg, folder.name)
        except Interrupted as stop:
            raise Interrupted(stop.number, folder) from stop
        except Exception as error:
            if isinstance(error, UserError) or not requested():
                raise
            raise Interrupted(requested(), folder) from error  # another process of the run ended first


def train_image_tokenizer(cfg: Config, job_id: str) -> None:
    """Trains the model's image tokenizer on the same data as a first stage, unless it is already trained.

    The stage is configured by `run`, overridden by `run.image_tokenizer`. It writes to the folder `image_tokenizer` in
    the run's folder. Afterwards `model.image_tokenizer.weights` names its checkpoint.
    """
    run, model = cfg.run_cfg, cfg.model_cfg
    folder = Path(run.output_dir) / job_id
    resumed = run.get("resume_ckpt_path")
    if model.image_tokenizer.get("weights") or (resumed and (resumed != "auto" or (folder / LAST_CHECKPOINT).exists())):
        return
    stage = copy.copy(cfg)
    stage.config = OmegaConf.create(
        {
            # Training needs the decoder, even if APIR needs only the codes.
            "model": {**model.image_tokenizer, "arch": "fashionfae_image_tokenizer", "decoder": True},
            "datasets": cfg.datasets_cfg,
            "run": {**first_stage(run), "output_dir": str(folder)},
        }
    )
    logging.info("First stage: the image tokenizer.")
    run_stage(stage, STAGE)
    with open_dict(model):
        model.image_tokenizer.weights = str(Path.cwd() / folder / STAGE / LAST_CHECKPOINT)


def run_stage(cfg: Config, job_id: str) -> dict[str, Any]:
    """Builds data, model and runner of one stage, trains and tests the model, and reports the results.

    Returns:
        Split of `run.test_splits` -> its result.
    """
    run = cfg.run_cfg
    seed = int(run.get("seed", 42)) + get_rank()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    task = tasks.setup_task(cfg)
    datasets = task.build_datasets(cfg)
    model = build_model(task, cfg)
    if is_main_process():
        report_cut_texts(model, datasets)
    runner_class = registry.get_runner_class(run.get("runner", "runner_base"))
    runner = runner_class(cfg=cfg, job_id=job_id, task=task, model=model, datasets=datasets)
    results = runner.train() or {}
    if is_main_process() and isinstance(task, FashionTask):
        results = {split: task.finish(model, result) for split, result in results.items()}
        report(results, Path(runner.output_dir))
    return results


def build_model(task: Any, cfg: Config) -> Any:
    """Builds the task's model; raises UserError if a download fails."""
    try:
        return task.build_model(cfg)
    except OSError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"`model`: a file that {cfg.model_cfg.arch} needs could not be downloaded ({reason}): go online, or train "
            "a from-scratch model, such as fashion_blip, fashion_albef or fashion_clip."
        ) from error


def report(results: Mapping[str, EvaluationResult], folder: Path) -> None:
    """Writes results.json, prints the results as tables, draws pictures, and lists the files of the run.

    results.json is written first, and again with the paths of the pictures. A picture that cannot be drawn is a
    warning. With several test splits, each split has a folder for its pictures and its hits.npz.

    Raises:
        UserError: results.json or hits.npz cannot be written; the tables are printed all the same.
    """
    figures = {split: result.to_json() for split, result in results.items()}
    try:
        if results:
            write_results(figures, folder)
    finally:
        for split, result in results.items():
            print(f"\n{split}\n{result.table()}", flush=True)
    for split, result in results.items():
        own = folder if len(results) == 1 else folder / split
        with optional_picture(f"The picture of {split}"):
            own.mkdir(exist_ok=True)
            figures[split] |= result.draw(own)
            write_results(figures, folder)
    folders = [folder, *(folder / split for split in results)]
    files = (folder / name for name in ("results.json", BEST_CHECKPOINT, LAST_CHECKPOINT))
    paths = [*(path for each in folders for path in sorted(each.glob("*.png"))), *filter(Path.exists, files)]
    width = max((len(path.stem) for path in paths), default=0) + 1
    print("".join(f"\n{path.stem + ':':<{width}} {path}" for path in paths) + "\n", flush=True)
    for split, result in results.items():
        save_hits(result, (folder if len(results) == 1 else folder / split) / HITS)


def write_results(figures: Mapping[str, Mapping[str, Any]], folder: Path) -> None:
    """Writes results.json atomically; raises UserError if it cannot be written."""
    with replacing(folder / "results.json") as temporary:
        temporary.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
