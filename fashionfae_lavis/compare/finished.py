"""Reads finished runs as rows of a comparison: their results, and the cost of training from the checkpoint."""

import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf

from fashionfae_lavis.checkpoints import damaged, read_checkpoint
from fashionfae_lavis.compare.outcomes import RECOGNITION, Outcome, check_agreement, kind_of, outcome
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.results import HITS
from fashionfae_lavis.files import open_regular
from fashionfae_lavis.runners.data_order import DataOrder
from fashionfae_lavis.runners.output_folder import LAST_CHECKPOINT
from fashionfae_lavis.runners.run_state import check_run_state
from fashionfae_lavis.yaml_file import read_yaml


@dataclass
class Row:
    """The results of one system with one seed.

    Attributes:
        system: name of the system.
        seed: seed of the training; None if unknown.
        figures: dotted name -> number, from the training and the evaluations.
        outcomes: the evaluations.
        hits: dotted name -> per-product scores (P, C), see `EvaluationResult.hits`.
    """

    system: str
    seed: int | None = None
    figures: dict[str, float] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    hits: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def add(self, found: Outcome, hits: Path | None = None) -> None:
        """Adds an evaluation and its figures.

        Args:
            found: the evaluation.
            hits: its file of per-product scores, if any.

        Raises:
            UserError: the file is damaged.
        """
        self.outcomes.append(found)
        self.figures |= found.figures
        if hits and hits.is_file():
            self.hits |= _read_hits(hits)


def _read_hits(path: Path) -> dict[str, NDArray[np.float32]]:
    """Reads a file of `save_hits`; raises UserError if it is damaged."""
    try:
        with np.load(path) as arrays:
            hits = dict(arrays)
        if not all(array.ndim == 2 and array.dtype == np.float32 for array in hits.values()):
            raise ValueError("other arrays")
    except (OSError, ValueError, TypeError, EOFError, BadZipFile, zlib.error) as error:
        results = path.with_suffix(".json") if path.name != HITS else path.with_name("results.json")
        raise UserError(f"{path} is damaged: delete it and {results.name}, and evaluate the run again.") from error
    return hits


def training_figures(folder: Path) -> dict[str, float]:
    """Reads the cost of the training in a run's folder.

    Returns:
        "parameters" (number of parameters changed by updates), "updates", "samples" (products seen, with repetition)
        and, if the checkpoint records the time, "milliseconds" of training per sample. Empty without a checkpoint of
        this package.
    """
    if not (folder / LAST_CHECKPOINT).is_file():
        return {}
    state = read_checkpoint(folder / LAST_CHECKPOINT)
    if "data_order" not in state:
        return {}
    check_run_state(state, folder / LAST_CHECKPOINT)
    try:
        samples = DataOrder.from_state(state["data_order"]).samples_per_update * state["iters"]
        parameters = sum(moments["exp_avg"].numel() for moments in state["optimizer"]["state"].values())
    except (TypeError, KeyError, AttributeError) as error:
        raise damaged(folder / LAST_CHECKPOINT, " (its training state is incomplete)") from error
    figures = {
        "parameters": parameters,
        "updates": state["iters"],
        "samples": samples,
    }
    if state.get("seconds"):
        figures["milliseconds"] = 1000 * state["seconds"] / samples
    return figures


def read_run(folder: Path) -> tuple[dict, dict]:
    """Reads the configuration and the results of a run's folder as plain containers.

    Returns:
        The configuration, and the results, which are empty without results.json.

    Raises:
        UserError: the folder is not a run's output folder, or results.json is damaged.
    """
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{folder} is not the output folder of a run: it holds no config.yaml.")
    config: Any = OmegaConf.to_container(read_yaml(folder / "config.yaml"))
    sections = [config.get(name) for name in ("run", "model", "datasets")]
    if not all(isinstance(section, dict) for section in sections) or "task" not in config["run"]:
        raise UserError(f"{folder / 'config.yaml'} is not the configuration of a run: name another folder.")
    path = folder / "results.json"
    try:
        results = {}
        if path.exists():
            with open_regular(path) as file:
                results = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{folder}: results.json is damaged ({error}): evaluate the run again.") from error
    if not isinstance(results, dict):
        raise UserError(f"{folder}: results.json is damaged (no mapping): evaluate the run again.")
    return config, results


def evaluated_weights(folder: Path, config: dict) -> Path | str:
    """Finds the weights that the results of a run measure.

    The results of an evaluation, and of fine-tuning for recognition, describe the checkpoint that the run started from.
    Those of any other training describe the weights that it trained.

    Args:
        folder: the run's folder.
        config: the run's configuration.

    Returns:
        The folder of the run that trained the weights, or the weight file if it is not in such a folder.

    Raises:
        UserError: config.yaml was edited and names no file.
    """
    run, model = config["run"], config["model"]
    if not run.get("evaluate") and kind_of(config) != RECOGNITION or run.get("from_scratch"):
        return folder
    start = model.get("finetuned") if model.get("load_finetuned") else model.get("pretrained")
    if not start:
        return folder
    if not isinstance(start, str):
        raise UserError(f"{folder / 'config.yaml'}: `model` names its weights as {start!r}, not as a path.")
    other = Path(start).resolve().parent
    return other if (other / "config.yaml").is_file() else str(start)


def read_rows(folders: list[str]) -> list[Row]:
    """Reads finished runs and groups them into one row for each training run that they evaluate.

    Raises:
        UserError: a folder is not a run's output folder, two runs give different figures for one training run, or
            protocols differ.
    """
    rows: dict[Path | str, Row] = {}
    for folder in dict.fromkeys(Path(folder).resolve() for folder in folders):
        config, results = read_run(folder)
        weights = evaluated_weights(folder, config)
        if weights not in rows:
            figures = training_figures(weights) if isinstance(weights, Path) else {}
            rows[weights] = Row(_relative(weights), None, figures)
        row, found = rows[weights], outcome(config, results)
        if found is None:
            continue
        if any(row.figures.get(name, value) != value for name, value in found.figures.items()):
            raise UserError(f"Two of the runs give different results for {found.kind} of {row.system}: name only one.")
        row.add(found, folder / HITS)
    check_agreement((row.system, found) for row in rows.values() for found in row.outcomes)
    return list(rows.values())


def _relative(path: Path | str) -> str:
    """Returns a path relative to the working directory if it is below it, else unchanged."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return str(path)
