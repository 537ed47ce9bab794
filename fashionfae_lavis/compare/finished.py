"""Finished runs as rows of a table: what training took, from the checkpoint, and what its evaluations gave."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import OmegaConf

from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.compare.outcomes import RECOGNITION, Outcome, check_agreement, kind_of, outcome
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.runners.data_order import DataOrder
from fashionfae_lavis.runners.output_folder import LAST_CHECKPOINT


@dataclass
class Row:
    """One system with one seed: figures (dotted name -> number) of its training and of its evaluations."""

    system: str
    seed: int | None = None
    figures: dict[str, float] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)

    def add(self, found: Outcome) -> None:
        self.outcomes.append(found)
        self.figures |= found.figures


def training_figures(folder: Path) -> dict[str, float]:
    """What the training in a run's folder took; empty without a checkpoint to tell it.

    Returns:
        "parameters" (those that an update has changed), "updates", "samples" (products seen, with repetition) and, if
        the checkpoint knows the time, "milliseconds" of training for each sample.
    """
    if not (folder / LAST_CHECKPOINT).is_file():
        return {}
    state = read_checkpoint(folder / LAST_CHECKPOINT)
    if "data_order" not in state:
        return {}
    samples = DataOrder.from_state(state["data_order"]).samples_per_update * state["iters"]
    figures = {
        "parameters": sum(moments["exp_avg"].numel() for moments in state["optimizer"]["state"].values()),
        "updates": state["iters"],
        "samples": samples,
    }
    if state.get("seconds"):
        figures["milliseconds"] = 1000 * state["seconds"] / samples
    return figures


def read_run(folder: Path) -> tuple[dict, dict]:
    """Configuration and results (empty without results.json) of a run's folder, as plain containers.

    Raises:
        UserError: it is not the folder of a run, or its files are damaged.
    """
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{folder} is not the output folder of a run: it holds no config.yaml.")
    try:
        config = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
        path = folder / "results.json"
        return config, json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise UserError(f"{folder}: results.json is damaged ({error}); evaluate again.") from error


def trained_by(folder: Path, config: dict) -> Path | str:
    """Whose merit the results of a run are: itself, or what it evaluates or recognises with, a folder or a file.

    An evaluation, and fine-tuning for recognition, speak of the checkpoint that they started from.
    """
    run, model = config["run"], config["model"]
    if not run.get("evaluate") and kind_of(config) != RECOGNITION or run.get("from_scratch"):
        return folder
    start = model.get("finetuned") if model.get("load_finetuned") else model.get("pretrained")
    if not start:
        return folder
    other = Path(start).resolve().parent
    return other if (other / "config.yaml").is_file() else str(start)


def rows_of(folders: list[str]) -> list[Row]:
    """One row for each training among these runs, or behind them.

    Raises:
        UserError: a folder is no run's, two runs tell different figures of one training, or protocols differ.
    """
    rows: dict[Path | str, Row] = {}
    for folder in dict.fromkeys(Path(folder).resolve() for folder in folders):
        config, results = read_run(folder)
        origin = trained_by(folder, config)
        if origin not in rows:
            rows[origin] = Row(_shown(origin), None, training_figures(origin) if isinstance(origin, Path) else {})
        row, found = rows[origin], outcome(config, results)
        if found is None:
            continue
        if any(row.figures.get(name, value) != value for name, value in found.figures.items()):
            raise UserError(f"Two of the runs tell different figures of {found.kind} of {row.system}: name one only.")
        row.add(found)
    check_agreement((row.system, found) for row in rows.values() for found in row.outcomes)
    return list(rows.values())


def _shown(origin: Path | str) -> str:
    try:
        return str(Path(origin).relative_to(Path.cwd()))
    except ValueError:
        return str(origin)
