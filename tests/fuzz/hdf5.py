"""Fuzzer of HDF5: the two files of FashionGen with links, other types and shapes, and damaged bytes."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from fashionfae_lavis.cli import main
from fashionfae_lavis.datasets.datasets.fashiongen_file import (
    FILE_NAMES,
    IMAGES,
    PRODUCTS,
    TEXT_COLUMNS,
    FashionGenFile,
)

from .checks import check_columns, check_pixels
from .harness import Case
from .mutations import HOSTILE_TEXTS, damage_file, outside_of, replace_file
from .watch import SECRET

TEXTS = tuple(TEXT_COLUMNS.values())
ROWS = 6
PIXELS = np.arange(ROWS * 16 * 16 * 3, dtype=np.uint8).reshape(ROWS, 16, 16, 3)


def prepare(shared: Path) -> None:
    """Writes a training and a validation file of six images of three products."""
    for number, name in enumerate(FILE_NAMES.values()):
        with h5py.File(shared / name, "w") as file:
            products = np.repeat(np.arange(3) + 10 * number, 2)
            file[IMAGES] = PIXELS
            file[PRODUCTS] = products[:, None]
            for column in TEXTS:
                texts = [f"{column} {product}".encode() for product in products]
                file[column] = np.array(texts, dtype="S60")[:, None]


def make(rng: random.Random, shared: Path, folder: Path) -> Case:
    """Changes one of the files and reads it, checks it, indexes it or converts it."""
    for name in FILE_NAMES.values():
        shutil.copy(shared / name, folder / name)
    path = folder / rng.choice(list(FILE_NAMES.values()))
    change = rng.choice(
        (damage_file, damage_file, _links, _links, _virtual, _external, _types, _types, _shapes, _texts, _special)
    )
    done = change(rng, path)
    call = rng.choice((_read, _read, _check, _index, _shards))
    return Case(f"{call.__name__[1:]}: {path.stem[19:]} {done}", lambda: call(folder, path))


def _read(folder: Path, path: Path) -> list:
    file = FashionGenFile(path)
    rows = len(file.row_product)
    check_columns(file)
    for row in {0, rows - 1}:
        check_pixels(file.image(row))
    return [file.texts, file.product_ids]


def _check(folder: Path, path: Path) -> None:
    main(["prepare", "fashiongen", "--root", ".", "--check"])


def _index(folder: Path, path: Path) -> list:
    main(["prepare", "fashiongen", "--root", "."])
    return _read(folder, path)


def _shards(folder: Path, path: Path) -> None:
    main(["prepare", "fashiongen", "--root", ".", "--to", "shards", "--out", "shards"])


def _column(rng: random.Random) -> str:
    return rng.choice((IMAGES, PRODUCTS, *TEXTS))


def _links(rng: random.Random, path: Path) -> str:
    """Replaces a column by a link into a file outside, or by one that leads nowhere."""
    other = outside_of(path) / "other.h5"
    shutil.copy(path, other)
    with h5py.File(other, "r+") as file:
        for column in TEXTS:
            del file[column]
            file[column] = np.array([SECRET.encode()] * ROWS)[:, None]
    column = _column(rng)
    links: dict[str, Callable] = {
        "external": lambda: h5py.ExternalLink("../outside/other.h5", column),
        "external absolute": lambda: h5py.ExternalLink(str(other), column),
        "external nowhere": lambda: h5py.ExternalLink("/none.h5", column),
        "external to the password": lambda: h5py.ExternalLink("../outside/password.txt", "x"),
        "external to a device": lambda: h5py.ExternalLink("/dev/zero", "x"),
        "soft nowhere": lambda: h5py.SoftLink("/nothing"),
        "soft to itself": lambda: h5py.SoftLink(f"/{column}"),
        "soft to the root": lambda: h5py.SoftLink("/"),
        "soft to another": lambda: h5py.SoftLink(f"/{rng.choice(TEXTS)}"),
    }
    name = rng.choice(sorted(links))
    with h5py.File(path, "r+") as file:
        del file[column]
        file[column] = links[name]()
    return f"{column} is a link, {name}"


def _virtual(rng: random.Random, path: Path) -> str:
    """Makes a column a virtual dataset, which maps one of another file."""
    other = outside_of(path) / "other.h5"
    column = _column(rng)
    with h5py.File(path, "r+") as file, h5py.File(other, "w") as source:
        kind, shape = file[column].dtype, file[column].shape
        secret = np.array([SECRET.encode()] * ROWS).astype(kind) if kind.kind == "S" else np.zeros(ROWS, kind)
        source["data"] = np.broadcast_to(secret.reshape(-1, *[1] * (len(shape) - 1)), shape)
        target = rng.choice((str(other), "../outside/other.h5", "none.h5", ".", "/dev/zero"))
        layout = h5py.VirtualLayout(shape=shape, dtype=kind)
        layout[...] = h5py.VirtualSource(target, rng.choice(("data", column)), shape=shape, dtype=kind)
        del file[column]
        file.create_virtual_dataset(column, layout)
    return f"{column} is virtual, of {target}"


def _external(rng: random.Random, path: Path) -> str:
    """Keeps a column's bytes in another file, such as a list of passwords."""
    column = rng.choice((PRODUCTS, IMAGES, *TEXTS))
    target = rng.choice(("../outside/password.txt", str(outside_of(path) / "password.txt"), "/etc/passwd"))
    with h5py.File(path, "r+") as file:
        kind, shape = file[column].dtype, file[column].shape
        size = int(np.prod(shape)) * kind.itemsize
        del file[column]
        file.create_dataset(column, shape=shape, dtype=kind, external=[(target, 0, size)])
    return f"{column} is stored in {target}"


def _types(rng: random.Random, path: Path) -> str:
    """Gives a column another type."""
    column = _column(rng)
    shape = (ROWS, 16, 16, 3) if column == IMAGES else (ROWS, 1)
    count = int(np.prod(shape))
    values: dict[str, Callable] = {
        "float": lambda: np.full(shape, 1.5),
        "nan": lambda: np.full(shape, np.nan),
        "int64": lambda: np.full(shape, 2**62),
        "uint64": lambda: np.full(shape, 2**64 - 1, np.uint64),
        "int8": lambda: np.zeros(shape, np.int8),
        "bool": lambda: np.zeros(shape, bool),
        "complex": lambda: np.zeros(shape, np.complex64),
        "bytes": lambda: np.full(shape, b"\xff\xfe\x00x", "S9"),
        "long bytes": lambda: np.full((ROWS, 1), b"x" * 60_000, "S60000"),
        "text": lambda: np.array(["éx"] * count, dtype=h5py.string_dtype()).reshape(shape),
        "void": lambda: np.zeros(shape, "V7"),
        "compound": lambda: np.zeros(shape, [("a", "i4"), ("b", "S3")]),
        "array": lambda: np.zeros(shape, np.dtype("(2,2)i4")),
        "enum": lambda: np.zeros(shape, h5py.enum_dtype({"a": 0}, "u1")),
        "digits": lambda: np.full(shape, b"12", "S2"),
    }
    name = rng.choice(sorted(values))
    with h5py.File(path, "r+") as file:
        del file[column]
        if rng.random() < 0.2:
            name = rng.choice(("group", "reference", "vlen", "named type", "empty"))
            _make_odd(file, column, name, shape)
        else:
            file[column] = values[name]()
    return f"{column} is {name}"


def _make_odd(file: h5py.File, column: str, name: str, shape: tuple) -> None:
    if name == "group":
        file.create_group(column)
    elif name == "reference":
        file.create_dataset(column, data=np.array([file.ref] * ROWS, dtype=h5py.ref_dtype)[:, None])
    elif name == "vlen":
        data = file.create_dataset(column, (ROWS, 1), dtype=h5py.vlen_dtype(np.uint8))
        for row in range(ROWS):
            data[row, 0] = np.arange(row, dtype=np.uint8)
    elif name == "named type":
        file[column] = np.dtype("S9")
    else:
        file[column] = h5py.Empty("u1")


def _shapes(rng: random.Random, path: Path) -> str:
    """Gives a column another shape, or removes it."""
    column = _column(rng)
    with h5py.File(path, "r+") as file:
        kind = file[column].dtype
        del file[column]
        shape = rng.choice(
            ((), (0,), (0, 1), (ROWS,), (1, ROWS), (ROWS, 2), (ROWS + 1, 1), (ROWS, 1, 1), (0, 16, 16, 3))
            + ((ROWS, 0, 0, 3), (ROWS, 16, 16, 1), (ROWS, 3, 16, 16), (ROWS, 1, 1, 3), None, "chunks", "huge")
        )
        if shape == "chunks":
            full = (ROWS, 16, 16, 3) if column == IMAGES else (ROWS, 1)
            file.create_dataset(column, full, kind, chunks=True, compression="gzip", shuffle=True)
        elif shape == "huge":  # as small as any file, because nothing of it is written
            full = (10**7, 256, 256, 3) if column == IMAGES else (10**10, 1)
            file.create_dataset(column, full, kind, chunks=(1, *full[1:]))
        elif shape is not None:
            file.create_dataset(column, shape, kind)
    return f"{column} has shape {shape}"


def _texts(rng: random.Random, path: Path) -> str:
    """Puts hostile texts into a column of texts, and large or negative numbers into that of products."""
    column = rng.choice(TEXTS)
    text = rng.choice(HOSTILE_TEXTS).encode("utf-8", "surrogatepass")[:60_000] or b"\0"
    with h5py.File(path, "r+") as file:
        del file[column]
        file[column] = np.array([text] * ROWS, dtype=f"S{len(text)}")[:, None]
        file[PRODUCTS][...] = rng.choice((0, -1, -(2**63), 2**63 - 1))
    return f"{column} = {text[:30]!r}"


def _special(rng: random.Random, path: Path) -> str:
    content = path.read_bytes()
    way = rng.choice(("fifo", "folder", "loop", "missing", "text", "empty", "user block"))
    replace_file(path, way)
    if way == "text":
        path.write_text("not HDF5")
    elif way == "user block":
        path.write_bytes(bytes(512) + content)
    return f"is {way}"
