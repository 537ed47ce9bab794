"""Writing of WebDataset tar files on all cores.

A shard gets its final name only when it is complete, and existing shards are kept, so interrupted runs can be resumed.
"""

import io
import os
import tarfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from fashionfae_lavis.datasets.datasets.fashiongen_index import write_json
from fashionfae_lavis.datasets.datasets.shards import shard_name
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import make_folder, open_regular, read_json, replacing
from fashionfae_lavis.threads import all_cores
from fashionfae_lavis.workers import WorkerDied, in_workers, progress_bar

PLAN = "plan.json"  # identifies the data that the shards come from
Members = Iterable[tuple[str, bytes]]  # names and contents of the files in a shard


def write_missing_shards(
    folder: Path, plan: dict[str, Any], images: Sequence[Sequence[str]], write: Callable[[int], str], option: str
) -> list[list[int]]:
    """Writes the shards that a folder lacks.

    Args:
        folder: the folder to write into.
        plan: identifies the data, for a folder that has shards already.
        images: the names of the images in each shard.
        write: writes the shard of this number in a worker process; returns an error message, "" for none.
        option: the option that names another folder, for messages.

    Returns:
        The shard, offset and size in bytes of each image, in the order of `images`.

    Raises:
        UserError: the shards cannot be written, or the folder has shards of other data.
    """
    make_folder(folder)
    if os.path.lexists(folder / PLAN):
        if read_json(folder / PLAN, TypeAdapter(Any), f"delete its folder, or use another {option}") != plan:
            raise UserError(f"{folder} contains shards of another file: delete it, or use another {option}.")
    else:
        write_json(plan, folder / PLAN)
    left = [number for number in range(len(images)) if not (folder / shard_name(number)).exists()]
    with progress_bar(len(images), f"writing {folder.name}", "shard") as bar:
        bar.update(len(images) - len(left))
        try:
            for failure in in_workers(write, left, min(all_cores(), max(1, len(left)))):
                if failure:
                    raise UserError(failure)
                bar.update()
        except WorkerDied as error:
            raise UserError(f"{folder}: a process that writes shards died: run the command again to resume.") from error
    return [location for number, names in enumerate(images) for location in _locations(folder, number, names)]


def write_shard(folder: Path, number: int, members: Members) -> str:
    """Writes one shard; returns an error message, "" for none."""
    try:
        with (
            replacing(folder / shard_name(number)) as temporary,
            tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for name, content in members:
                member = tarfile.TarInfo(name)  # time and owner stay zero, so the bytes are the same for everyone
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    except UserError as error:
        return str(error)
    return ""


def _locations(folder: Path, number: int, names: Sequence[str]) -> list[list[int]]:
    """Finds the images in a shard; raises UserError if it lacks one."""
    path = folder / shard_name(number)
    try:
        with open_regular(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            members = {member.name: member for member in tar}
        for name in names:
            if not members[name].isreg():
                raise tarfile.TarError(f"{name} is not a file")
        return [[number, members[name].offset_data, members[name].size] for name in names]
    except (tarfile.TarError, KeyError, OSError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}): delete it and run the command again.") from error
