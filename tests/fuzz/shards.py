"""Fuzzer of shards: WebDataset tars with links, paths that leave the folder, wrong members, and damaged indexes."""

import io
import json
import random
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from fashionfae_lavis.cli import main
from fashionfae_lavis.datasets.datasets.fashiongen_file import FILE_NAMES, open_fashiongen
from fashionfae_lavis.datasets.datasets.shards import INDEX
from fashionfae_lavis.processors.images import FashionImageEvalProcessor

from . import hdf5, images
from .checks import check_columns, check_pixels
from .files import write_photographs
from .harness import Case, Wrong
from .mutations import damage_file, damage_json_file, damage_value, outside_of, replace_file

TRAIN = FILE_NAMES["train"]
SHARDS = Path(TRAIN).with_suffix(".shards").name


def prepare(shared: Path) -> None:
    """Writes FashionGen's two files and their shards."""
    hdf5.prepare(shared)
    main(["prepare", "fashiongen", "--root", str(shared), "--to", "shards"])
    (shared / "bombs").mkdir()
    images.prepare(shared / "bombs")


def make(rng: random.Random, shared: Path, folder: Path) -> Case:
    """Changes the shards of the training file and reads them, or resumes their writing."""
    for name in FILE_NAMES.values():
        shutil.copytree(shared / Path(name).with_suffix(".shards"), folder / Path(name).with_suffix(".shards"))
    shards = folder / SHARDS
    change = rng.choice((_tar_bytes, _tar_bytes, _members, _members, _members, _index, _index, _index, _special))
    done = change(rng, shards, shared)
    resume = rng.random() < 0.35
    if resume:
        for name in FILE_NAMES.values():
            shutil.copy2(shared / name, folder / name)
        if rng.random() < 0.5:
            done += f", {_plan(rng, shards)}"
    call = _resume if resume else _read
    return Case(f"{'resume' if resume else 'read'}: {done}", lambda: call(folder, change is _tar_bytes))


def _read(folder: Path, same_pixels: bool) -> list:
    file = open_fashiongen(folder / TRAIN)
    check_columns(file)
    if len(file.row_product) and not 0 <= file.row_product.min() <= file.row_product.max() < len(file.product_ids):
        raise Wrong("an image belongs to no product")
    process = FashionImageEvalProcessor(image_size=8, resize=8)
    for row in range(min(8, len(file.row_product))):
        image = file.image(row)
        check_pixels(image)
        if same_pixels and not np.array_equal(image, hdf5.PIXELS[row]):
            raise Wrong("damaged pixels were read")
        process(image)
    return [file.texts]


def _resume(folder: Path, same_pixels: bool) -> list:
    main(["prepare", "fashiongen", "--root", ".", "--to", "shards"])
    for name in FILE_NAMES.values():
        (folder / name).unlink()
    return _read(folder, same_pixels)


def _tar_bytes(rng: random.Random, shards: Path, shared: Path) -> str:
    return damage_file(rng, shards / "000000.tar")


def _members(rng: random.Random, shards: Path, shared: Path) -> str:
    """Writes the tar again with one hostile member, and lists it in the index as the image of row 0."""
    path, outside = shards / "000000.tar", outside_of(shards)
    write_photographs(outside, 1)
    with tarfile.open(path) as tar:
        members = [(member.name, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]
    kinds: dict[str, Callable[[], tuple[tarfile.TarInfo, bytes]]] = {
        "symlink": lambda: (_info("00000000.0.png", tarfile.SYMTYPE, "../outside/0.png"), b""),
        "link": lambda: (_info("00000000.0.png", tarfile.LNKTYPE, "../../outside/password.txt"), b""),
        "device": lambda: (_info("00000000.0.png", tarfile.CHRTYPE), b""),
        "fifo": lambda: (_info("00000000.0.png", tarfile.FIFOTYPE), b""),
        "folder": lambda: (_info("00000000.0.png", tarfile.DIRTYPE), b""),
        "leaves the folder": lambda: (_info("../../outside/new.png"), members[0][1]),
        "absolute": lambda: (_info("/tmp/fuzz-absolute.png"), members[0][1]),
        "no image": lambda: (_info("00000000.0.png"), b"not an image"),
        "EPS": lambda: (_info("00000000.0.png"), images.DISGUISES["EPS"]),
        "empty": lambda: (_info("00000000.0.png"), b""),
        "bomb": lambda: (_info("00000000.0.png"), rng.choice(sorted((shared / "bombs").iterdir())).read_bytes()),
        "grey": lambda: (_info("00000000.0.png"), _png("L")),
        "transparent": lambda: (_info("00000000.0.png"), _png("RGBA")),
        "palette": lambda: (_info("00000000.0.png"), _png("P")),
        "tiny": lambda: (_info("00000000.0.png"), _png("RGB", (1, 1))),
        "twice": lambda: (_info(members[1][0]), members[0][1]),
        "long name": lambda: (_info("x" * 5000), b"1"),
        "no json": lambda: (_info("00000000.json"), b"[" * 100_000),
    }
    name = rng.choice(sorted(kinds))
    info, content = kinds[name]()
    info.size = len(content)
    with tarfile.open(path, "w", format=rng.choice((tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT))) as tar:
        try:
            tar.addfile(info, io.BytesIO(content))
        except ValueError:  # USTAR has no long names
            tar.addfile(_info("x"))
        offset = tar.offset - -(-len(content) // 512) * 512
        for other, data in members:
            if other != info.name:
                plain = _info(other)
                plain.size = len(data)
                tar.addfile(plain, io.BytesIO(data))
    index = json.loads((shards / INDEX).read_text())
    index["images"][0] = [0, offset, len(content)]
    (shards / INDEX).write_text(json.dumps(index))
    return f"the member {info.name[:30]} is {name}"


def _info(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def _png(mode: str, size: tuple[int, int] = (16, 16)) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "PNG")
    return buffer.getvalue()


def _index(rng: random.Random, shards: Path, shared: Path) -> str:
    path = shards / INDEX
    way = rng.choice(("value", "value", "bytes", "root", "location", "location"))
    if way == "bytes":
        return damage_file(rng, path)
    if way == "root":
        return damage_json_file(rng, path)
    index = json.loads(path.read_text())
    if way == "location":
        place = rng.randrange(3)
        value = rng.choice((-1, 10**6, 2**31, 2**62, -(2**62), 0, 1))
        index["images"][0][place] = value
        done = f"location {place} = {value}"
    else:
        done, index = damage_value(rng, index, rng.choice((1, 3)))
    path.write_bytes(json.dumps(index).encode())
    return f"{INDEX}: {done}"


def _plan(rng: random.Random, shards: Path) -> str:
    path = shards / "plan.json"
    return damage_file(rng, path) if rng.random() < 0.5 else damage_json_file(rng, path)


def _special(rng: random.Random, shards: Path, shared: Path) -> str:
    """Replaces the tar or the index by something that is no regular file."""
    path = shards / rng.choice(("000000.tar", INDEX))
    outside = outside_of(path) / path.name
    shutil.move(path, outside)
    way = rng.choice(("fifo", "folder", "loop", "missing", "device", "empty", "link out"))
    replace_file(path, way)
    if way == "link out":
        path.symlink_to(outside)
    return f"{path.name} is a {way}"
