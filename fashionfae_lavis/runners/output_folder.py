"""The folder of one run: `<working directory>/<run.output_dir>/<job id>`."""

import tempfile
from pathlib import Path

from fashionfae_lavis.errors import UserError

LAST_CHECKPOINT = "checkpoint_last.pth"
BEST_CHECKPOINT = "checkpoint_best.pth"


def find_newest_run(output_dir: str | Path) -> Path | None:
    """Returns the job folder under `output_dir` with the newest last checkpoint of a run or of its first stage."""
    output_dir = Path.cwd() / output_dir
    checkpoints = output_dir.glob(f"*/**/{LAST_CHECKPOINT}")
    newest = max(checkpoints, key=lambda path: path.stat().st_mtime, default=None)
    return newest and output_dir / newest.relative_to(output_dir).parts[0]


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
    if path.is_file():
        return path
    if choice == "auto":
        return None
    raise UserError(f"run.resume_ckpt_path: there is no checkpoint file {path}.")


def make_output_folder(folder: Path) -> Path:
    """Creates a run's folder and its subfolder `result`, which LAVIS's tasks write to; returns the latter.

    Raises:
        UserError: the folder cannot be created or written to.
    """
    try:
        (folder / "result").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror
        raise UserError(f"Cannot write to {folder} ({reason}): set run.output_dir to another folder.") from error
    return folder / "result"
