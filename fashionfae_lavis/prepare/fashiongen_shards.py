"""`fashionfae prepare fashiongen --to shards`: writes the images and texts of an HDF5 file as WebDataset tar files.

All cores write shards. A shard gets its final name only when it is complete, and existing shards are kept, so an
interrupted run can be resumed. The bytes depend only on the HDF5 file.
"""

import io
import json
import os
import tarfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import TypeAdapter

from fashionfae_lavis.datasets.datasets.fashiongen_file import FashionGenFile
from fashionfae_lavis.datasets.datasets.fashiongen_index import FORMAT, fingerprint, write_json
from fashionfae_lavis.datasets.datasets.fashiongen_shards import INDEX, shard_name, shards_folder
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import make_folder, open_regular, read_json, replacing
from fashionfae_lavis.workers import WorkerDied, all_cores, in_workers, progress_bar

PRODUCTS = 500  # products per shard: about 2,000 images and 200 MB of FashionGen
PLAN = "plan.json"  # identifies the HDF5 file that the shards come from


def write_shards(path: str | Path, out: str | Path, products: int = PRODUCTS) -> Path:
    """Writes the shards of the HDF5 file at `path` into a folder below `out`.

    Args:
        path: the HDF5 file.
        out: the folder to write into.
        products: number of products per shard.

    Returns:
        The folder of the shards.

    Raises:
        UserError: the file cannot be read, the shards cannot be written, or the folder has shards of another file.
    """
    file = FashionGenFile(path)
    folder = Path(out) / shards_folder(file.path).name
    make_folder(folder)
    plan = {"format": FORMAT, "source": fingerprint(file.path), "products of a shard": products}
    if os.path.lexists(folder / PLAN):
        if read_json(folder / PLAN, TypeAdapter(Any), "delete its folder, or use another --out") != plan:
            raise UserError(f"{folder} contains shards of another file: delete it, or use another --out.")
    else:
        write_json(plan, folder / PLAN)
    numbers = range(-(-len(file.product_ids) // products))
    left = [number for number in numbers if not (folder / shard_name(number)).exists()]
    rows = np.split(np.argsort(file.row_product, kind="stable"), np.cumsum(np.bincount(file.row_product))[:-1])
    work = partial(_write_shard, file=file, rows=rows, folder=folder, products=products)
    with progress_bar(len(numbers), f"writing {folder.name}", "shard") as bar:
        bar.update(len(numbers) - len(left))
        try:
            for failure in in_workers(work, left, min(all_cores(), max(1, len(left)))):
                if failure:
                    raise UserError(failure)
                bar.update()
        except WorkerDied as error:
            raise UserError(f"{folder}: a process that writes shards died: run the command again to resume.") from error
    content = {**file.columns.to_json(file.path), "images": _locations(folder, numbers, rows, products)}
    write_json(content, folder / INDEX)
    return folder


def _write_shard(number: int, file: FashionGenFile, rows: list[np.ndarray], folder: Path, products: int) -> str:
    """Writes one shard, in a worker process; returns an error message, "" for none."""
    try:
        with (
            replacing(folder / shard_name(number)) as temporary,
            tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for product in _products_of(number, products, rows):
                for view, row in enumerate(rows[product]):
                    png = io.BytesIO()
                    Image.fromarray(file.image(int(row))).save(png, "PNG", compress_level=3)
                    _add(tar, _name(product, f"{view}.png"), png.getvalue())
                texts = {name: column[product] for name, column in file.texts.items()}
                content = {"product_id": int(file.product_ids[product]), "rows": rows[product].tolist(), **texts}
                _add(tar, _name(product, "json"), json.dumps(content, ensure_ascii=False).encode())
    except UserError as error:
        return str(error)
    return ""


def _products_of(number: int, products: int, rows: list) -> range:
    return range(number * products, min((number + 1) * products, len(rows)))


def _name(product: int, ending: str) -> str:
    return f"{product:08}.{ending}"


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # time and owner stay zero, so the bytes are the same for everyone
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _locations(folder: Path, numbers: range, rows: list[np.ndarray], products: int) -> list[list[int]]:
    """Finds the shard, offset and size in bytes of each row's image; raises UserError if a shard lacks one."""
    locations: list = [None] * sum(map(len, rows))
    for number in numbers:
        path = folder / shard_name(number)
        try:
            with open_regular(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
                members = {member.name: member for member in tar}
            for product in _products_of(number, products, rows):
                for view, row in enumerate(rows[product]):
                    member = members[_name(product, f"{view}.png")]
                    if not member.isreg():
                        raise tarfile.TarError(f"{member.name} is not a file")
                    locations[row] = [number, member.offset_data, member.size]
        except (tarfile.TarError, KeyError, OSError, ValueError) as error:
            raise UserError(f"{path} is damaged ({error}): delete it and run the command again.") from error
    return locations
