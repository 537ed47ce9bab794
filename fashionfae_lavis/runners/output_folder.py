"""The output folder of a run, `<working directory>/<run.output_dir>/<job id>`. No other run writes to it."""

import logging
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from lavis.common.dist_utils import is_main_process
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from fashionfae_lavis.checkpoints import check_archive, read_checkpoint
from fashionfae_lavis.distributed import gather_objects
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import remove_temporaries, replacing
from fashionfae_lavis.locks import hold
from fashionfae_lavis.runners.training_settings import difference

LAST_CHECKPOINT = "checkpoint_last.pth"
PREVIOUS_CHECKPOINT = "checkpoint_previous.pth"
BEST_CHECKPOINT = "checkpoint_best.pth"
CONFIG = "config.yaml"
LOCK = ".lock"


def find_newest_run(output_dir: str | Path) -> Path | None:
    """Returns the job folder below `output_dir` with the newest last checkpoint, of a run or of its first stage."""
    output_dir = Path.cwd() / output_dir
    checkpoints = output_dir.glob(f"*/**/{LAST_CHECKPOINT}")
    newest = max(checkpoints, key=lambda path: path.stat().st_mtime, default=None)
    return newest and output_dir / newest.relative_to(output_dir).parts[0]


@contextmanager
def own_folder(config: DictConfig) -> Iterator[Path]:
    """Chooses the folder of a run, the same on all processes, and locks it for the duration of the block.

    A new folder is named after the time. With `run.resume_ckpt_path`, it is the folder of that checkpoint; with `auto`,
    the folder of the newest training with the same configuration.

    Args:
        config: the whole configuration, which is saved in the folder.

    Raises:
        UserError: there is no checkpoint at the path, another process runs in the folder, or it cannot be written to.
    """
    folder, error = None, ""
    with ExitStack() as stack:
        if is_main_process():
            try:
                folder = _choose(config, stack)
            except UserError as caught:
                error = str(caught)
        folder, error = gather_objects((folder, error))[0]
        if folder is None:
            raise UserError(error)
        yield folder


def _choose(config: DictConfig, stack: ExitStack) -> Path:
    """Chooses and prepares the folder; `stack` holds its lock."""
    run = config.run
    output_dir, choice = Path.cwd() / run.output_dir, None if run.get("evaluate") else run.get("resume_ckpt_path")
    passed = ""
    if choice == "auto":
        found, passed = _find_training(plain(config), output_dir)
    else:
        path = checkpoint_to_resume(choice, output_dir)
        found = path and path.parent
    folder = found or _new_folder(output_dir)
    make_output_folder(folder)
    new = "set run.resume_ckpt_path to null for a run in a new folder"
    stack.enter_context(hold(folder, LOCK, "A run is still going", new))
    remove_temporaries(folder)
    if passed:
        logging.info("%s; this run %s %s.", passed, "continues" if found else "starts", folder)
    if not found:
        save_config(config, folder)
    return folder


def _new_folder(output_dir: Path) -> Path:
    """Creates a new folder, even if several processes try at the same time."""
    start = datetime.now().strftime("%Y%m%d_%H%M%S")
    make_output_folder(output_dir, subfolder="")
    for number in count(1):
        folder = output_dir / (start if number == 1 else f"{start}_{number}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            continue
    raise AssertionError


def _find_training(config: Any, output_dir: Path) -> tuple[Path | None, str]:
    """Finds the newest training with this configuration.

    Returns:
        Its folder, or None; and a sentence about the newest training, if that one has other settings, else "".
    """
    passed = ""
    for folder in sorted(filter(_changed, output_dir.glob("*/")), key=_changed, reverse=True):
        before = _config_of(folder)
        if before is None or before.get("run", {}).get("evaluate"):
            continue
        found = difference(before, config, folder)
        if found is None:
            return folder, passed
        passed = passed or f"{folder} was made with {found}, and stays as it is"
    return None, passed


def _changed(folder: Path) -> float:
    """Returns the time of the newest checkpoint or configuration in a folder, 0 without any."""
    paths = [*folder.glob(f"**/{LAST_CHECKPOINT}"), folder / CONFIG]
    return max((path.stat().st_mtime for path in paths if path.exists()), default=0)


def _config_of(folder: Path) -> Mapping[str, Any] | None:
    """Reads the configuration of a run from its `config.yaml`, else from its checkpoint; None if neither has it."""
    try:
        config: Any = OmegaConf.to_container(OmegaConf.load(folder / CONFIG))
        if isinstance(config, Mapping) and isinstance(config.get("run"), Mapping):
            return config
    except (OSError, UnicodeDecodeError, YAMLError, OmegaConfBaseException):
        pass
    try:
        return read_checkpoint(folder / LAST_CHECKPOINT).get("config")
    except UserError as error:
        logging.info("%s", error)
        return None


def plain(config: DictConfig) -> dict[str, Any]:
    """Converts a configuration to plain containers."""
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]  # a DictConfig gives a dict


def save_config(config: DictConfig, folder: Path) -> None:
    """Writes the whole configuration to `config.yaml`."""
    with replacing(folder / CONFIG) as temporary:
        OmegaConf.save(config, temporary, resolve=True)


def checkpoint_to_resume(choice: str | None, folder: Path) -> Path | None:
    """Returns the path of the checkpoint to resume, or None.

    Args:
        choice: value of `run.resume_ckpt_path`: null, a path, or `auto` for the last checkpoint in `folder`, if any.
        folder: the run's folder.

    Raises:
        UserError: there is no file at the path.
    """
    if not choice:
        return None
    path = folder / LAST_CHECKPOINT if choice == "auto" else Path.cwd() / choice
    if choice == "auto" and not path.exists():
        return None
    if not path.is_file():
        raise UserError(f"run.resume_ckpt_path: there is no checkpoint file {path}.")
    return path


def read_run_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint of a run.

    Raises:
        UserError: it is damaged; the message names the intact checkpoints in the same folder.
    """
    try:
        return read_checkpoint(path)
    except UserError as error:
        intact = [other for other in (PREVIOUS_CHECKPOINT, BEST_CHECKPOINT) if _is_intact(path.with_name(other), path)]
        if not intact:
            raise
        settings = " or ".join(f"run.resume_ckpt_path={shlex.quote(str(path.with_name(name)))}" for name in intact)
        reason = str(error).split(": copy the file again")[0].rstrip(".")
        raise UserError(f"{reason}: continue from an earlier checkpoint with {settings}.") from error


def _is_intact(path: Path, damaged: Path) -> bool:
    if path == damaged or not path.is_file():
        return False
    try:
        check_archive(path)
    except UserError:
        return False
    return True


def make_output_folder(folder: Path, subfolder: str = "result") -> Path:
    """Creates a run's folder and its subfolder `result`, which LAVIS's tasks write to; returns the latter.

    Raises:
        UserError: the folder cannot be created or written to.
    """
    try:
        (folder / subfolder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror
        raise UserError(f"Cannot write to {folder} ({reason}): set run.output_dir to another folder.") from error
    return folder / subfolder
