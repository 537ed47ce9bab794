"""`fashionfae prepare catalogue`: turns a product table and a folder of images into a catalogue.

Reads every row and decodes every image once. Usable products go into the index `catalogue.jsonl` (see
datasets/datasets/catalogue_file.py), problems into `rejected.csv`. The table and the images are not changed. Memory:
the id and 8 bytes per product (for the split), plus the distinct attribute values.
"""

import csv
import json
import os
from array import array
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from fashionfae_lavis.datasets.datasets.catalogue_file import FORMAT, NAME, SPLITS
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import make_folder, replacing
from fashionfae_lavis.prepare.images import Pattern, image_problem, listed_images
from fashionfae_lavis.prepare.tables import Table, cell_text
from fashionfae_lavis.prepare.texts import Spellings, plain_text
from fashionfae_lavis.text.product_text import FREE_TEXT, normalise
from fashionfae_lavis.workers import WorkerDied, all_cores, in_workers, progress_bar

REJECTED = "rejected.csv"
# Role of a column -> column names that are found automatically, without --map.
ROLES = {
    "id": ("id", "sku", "product_id"),
    "title": ("title", "name", "product_name"),
    "description": ("description",),
    "image": ("image", "images", "image_path"),
    "split": ("split",),
}
SPLIT_NAMES = {"training": "train", "validation": "val", "valid": "val", "dev": "val"} | {name: name for name in SPLITS}
CHUNK = 32  # rows that a worker checks at a time


@dataclass
class Product:
    """A row of the table. `problem` says why it cannot be used, "" if it can."""

    row: int
    id: str = ""
    split: str = ""
    title: str = ""
    description: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)
    problem: str = ""


@dataclass
class Summary:
    """Statistics of a prepared catalogue.

    Attributes:
        path: the index.
        rows, unusable: numbers of all rows and of unusable rows.
        left_out: number of unusable images of products that have other images.
        images: number of images in the catalogue.
        products: split -> number of products.
        problems: problem -> number of rows that it makes unusable.
        values: attribute -> number of distinct values.
        decode_fallbacks: number of byte sequences that were not UTF-8 and read as Windows-1252.
        respelled: number of attribute values that were changed to the first spelling.
    """

    path: Path
    rows: int
    unusable: int
    left_out: int
    images: int
    products: dict[str, int]
    problems: dict[str, int]
    values: dict[str, int]
    decode_fallbacks: int
    respelled: int


@dataclass
class _Tally:
    """Running counts over the rows. `keys` has one pseudo-random number per product, which decides its split."""

    rows: int = 0
    unusable: int = 0
    left_out: int = 0
    images: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    keys: "array[int]" = field(default_factory=lambda: array("Q"))


def prepare_catalogue(
    table: str | Path,
    images: str | Path,
    out: str | Path,
    columns: dict[str, str] | None = None,
    attributes: dict[str, str] | None = None,
    pattern: str | None = None,
    validation: float = 0.1,
    seed: int = 0,
    max_bad: float = 0.05,
) -> Summary:
    """Writes `out`/catalogue.jsonl and `out`/rejected.csv; the same input gives the same files.

    Args:
        table: the product table; see tables.py for the formats.
        images: the folder that image paths are relative to.
        out: the folder to write into.
        columns: a role of `ROLES` -> its column.
        attributes: name of an attribute in prompts -> its column.
        pattern: a pattern of image files, instead of a column that lists them; see `images.Pattern`.
        validation: share of products in the split `val`; ignored if a column gives the splits. `seed` and a product's
            id decide its split, so hardly any product changes its split when others are added.
        seed: seed of the random choice of validation products.
        max_bad: share of rows that may be unusable.

    Returns:
        The statistics of the catalogue.

    Raises:
        UserError: a file or column is missing, more than `max_bad` of the rows are unusable, none is usable, or `out`
            cannot be written.
    """
    out, images = Path(out), Path(images)
    for key, share in {"--validation": validation, "--max-bad": max_bad}.items():
        if not 0 <= share <= 1:
            raise UserError(f"{key} is {share}, but must be between 0 and 1.")
    if not images.is_dir():
        raise UserError(f"--images {images} is not a folder: name the folder of the images.")
    source = Table(table)
    rows = _Rows(source, images, columns or {}, attributes or {}, pattern)
    make_folder(out)
    with replacing(out / NAME) as index:
        part = index.with_name(index.name + ".part")
        try:
            with replacing(out / REJECTED) as rejected:
                tally = _write_rows(rows, images, part, rejected, seed)
            _check_share(out / REJECTED, tally, max_bad)
            head = {
                "format": FORMAT,
                "table": source.path.name,
                "images": _folder_name(images, out),
                "attributes": list(rows.attributes),
            }
            products = _write_index(index, part, head, tally.keys, 0 if "split" in rows.columns else validation)
        finally:
            part.unlink(missing_ok=True)
    return Summary(
        path=out / NAME,
        rows=tally.rows,
        unusable=tally.unusable,
        left_out=tally.left_out,
        images=tally.images,
        products=products,
        problems=dict(tally.problems),
        values={name: len(known) for name, known in rows.spellings.known.items()},
        decode_fallbacks=source.decode_fallbacks,
        respelled=rows.spellings.changed,
    )


class _Rows:
    """The table's rows as products, with all checks except of images."""

    def __init__(self, table: Table, folder: Path, columns: dict, attributes: dict, pattern: str | None):
        self.table = table
        self.columns = _find_columns(table, columns)
        self.attributes = {_attribute_name(name): column for name, column in attributes.items()}
        for name, column in self.attributes.items():
            _require(table, column, f"--attributes {name}={column}")
        if not {"title", "description"} & self.columns.keys():
            raise _unmapped(table, "title", "description")
        self.pattern = Pattern(pattern, folder, table.columns) if pattern else None
        if not self.pattern and "image" not in self.columns:
            raise _unmapped(table, "image")
        self.spellings = Spellings(self.attributes)

    def __iter__(self) -> Iterator[Product]:
        seen: set[str] = set()
        for number, cells, problem in self.table:
            product = Product(number, problem=problem)
            if not problem:
                self._fill(product, cells)
                if product.id in seen and not product.problem:
                    product.problem = "duplicate id"
                seen.add(product.id)
            yield product

    def _fill(self, product: Product, cells: dict) -> None:
        text = {role: cell_text(cells.get(column)) for role, column in self.columns.items()}
        product.id = text.get("id", str(product.row))
        product.title, product.description = (plain_text(text.get(name, "")) for name in FREE_TEXT)
        product.split = SPLIT_NAMES.get(text.get("split", "").lower(), "")
        product.images = self.pattern.images(cells) if self.pattern else listed_images(cells.get(self.columns["image"]))
        for name, column in self.attributes.items():
            value = self.spellings.of(name, plain_text(cell_text(cells.get(column))))
            if value:
                product.fields[name] = value
        if not product.id:
            product.problem = "no id"
        elif not any(letter.isalnum() for letter in product.title + product.description):
            product.problem = "no text"
        elif "split" in self.columns and not product.split:
            product.problem = f"split is {text['split']!r}, none of {', '.join(SPLIT_NAMES)}"
        elif not product.images:
            product.problem = "no image"


def _find_columns(table: Table, columns: dict[str, str]) -> dict[str, str]:
    """Returns the column of each role, given in `columns` or found by its name; omits roles without a column."""
    unknown = columns.keys() - ROLES.keys()
    if unknown:
        raise UserError(f"--map {min(unknown)}=...: use one of {', '.join(ROLES)} instead of {min(unknown)}.")
    found = {}
    lower = {column.lower(): column for column in reversed(table.columns)}
    for role, names in ROLES.items():
        if role in columns:
            _require(table, columns[role], f"--map {role}={columns[role]}")
        column = columns.get(role) or next((lower[name] for name in names if name in lower), None)
        if column:
            found[role] = column
    return found


def _require(table: Table, column: str, where: str) -> None:
    if column not in table.columns:
        raise UserError(f"{where}: {table.path} lacks this column; use one of {', '.join(table.columns)}.")


def _unmapped(table: Table, *roles: str) -> UserError:
    wanted = " or ".join(f"--map {role}=COLUMN" for role in roles)
    more = ", or --pattern" if roles == ("image",) else ""
    return UserError(
        f"{table.path} has no column called {' or '.join(roles)}: name one of its columns ({', '.join(table.columns)}) "
        f"with {wanted}{more}."
    )


def _attribute_name(name: str) -> str:
    """Returns an attribute's name in prompts: `Primary_Colour` -> `primary colour`."""
    words = normalise(name.replace("_", " "))
    if not words or words in FREE_TEXT:
        raise UserError(f"--attributes {name}: give the attribute a name in words other than title and description.")
    return words


def _problems(chunk: list[list[str]], folder: Path) -> list[list[str]]:
    """Returns the problem of each image of each row of a chunk, "" for none."""
    return [["is a web address" if "://" in name else image_problem(name, folder) for name in row] for row in chunk]


def _checked(rows: _Rows, folder: Path) -> Iterator[tuple[Product, list[str]]]:
    """Yields each product with the problems of its images, which worker processes decode."""
    waiting: deque[list[Product]] = deque()

    def chunks() -> Iterator[list[list[str]]]:
        products = iter(rows)
        while chunk := list(islice(products, CHUNK)):
            waiting.append(chunk)
            yield [[] if product.problem else product.images for product in chunk]

    try:
        for found in in_workers(partial(_problems, folder=folder), chunks(), all_cores()):
            yield from zip(waiting.popleft(), found, strict=True)
    except WorkerDied as error:
        raise UserError(
            f"{rows.table.path}: a process that checks images died near row {waiting[0][0].row}, perhaps for lack of "
            "memory: free some and run the command again."
        ) from error


def _write_rows(rows: _Rows, folder: Path, part: Path, rejected: Path, seed: int) -> _Tally:
    """Writes usable products to `part`, one per line, and each problem of a row or an image to `rejected`."""
    tally = _Tally()
    with (
        open(part, "w", encoding="utf-8") as lines,
        open(rejected, "w", encoding="utf-8", newline="") as report,
        progress_bar(None, "checking images", "product") as bar,
    ):
        writer = csv.writer(report)
        writer.writerow(["row", "id", "image", "problem", "row is used"])
        for product, found in _checked(rows, folder):
            bar.update()
            tally.rows += 1
            bad = [(name, problem) for name, problem in zip(product.images, found, strict=False) if problem]
            good = [name for name, problem in zip(product.images, found, strict=False) if not problem]
            used = bool(good) and not product.problem
            for name, problem in [("", product.problem)] if product.problem else bad:
                writer.writerow([product.row, product.id, name, problem, "yes" if used else "no"])
            if not used:
                tally.unusable += 1
                tally.problems[(product.problem or f"image {bad[0][1]}").partition(":")[0]] += 1
                continue
            tally.left_out += len(bad)
            tally.images += len(good)
            tally.keys.append(_key(seed, product.id))
            lines.write(f"{tally.keys[-1]}\t{product.split}\t{_line(product, good)}\n")
    return tally


def _key(seed: int, name: str) -> int:
    """Returns a pseudo-random number that is the same for this product in every run."""
    return int.from_bytes(blake2b(f"{seed}:{name}".encode(), digest_size=8).digest(), "big")


def _line(product: Product, images: list[str]) -> str:
    """Returns a product without its split as JSON."""
    content = {
        "row": product.row,
        "id": product.id,
        "images": images,
        "title": product.title,
        "description": product.description,
        "fields": product.fields,
    }
    return json.dumps(content, ensure_ascii=False)


def _check_share(report: Path, tally: _Tally, max_bad: float) -> None:
    """Raises UserError if too many rows are unusable."""
    rows, unusable = tally.rows, tally.unusable
    if unusable <= max_bad * rows and unusable < rows:
        return
    found = ", ".join(f"{number} {problem}" for problem, number in tally.problems.most_common(4))
    more = ", or allow more with --max-bad" if unusable < rows else ""
    raise UserError(f"{unusable} of {rows} rows cannot be used ({found}): correct the rows listed in {report}{more}.")


def _folder_name(images: Path, out: Path) -> str:
    """Returns a relative path if the images are below the catalogue, so that both can be moved together."""
    images, out = images.resolve(), out.resolve()
    return os.path.relpath(images, out) if images.is_relative_to(out) else str(images)


def _write_index(index: Path, part: Path, head: dict, keys: "array[int]", validation: float) -> dict[str, int]:
    """Writes the index from `part`, with the lowest keys as `val`; returns the number of products in each split."""
    limit = 0
    if validation and len(keys) > 1:
        number = min(max(1, round(validation * len(keys))), len(keys) - 1)
        limit = sorted(keys)[number]
    products: Counter = Counter()
    for split, _ in _with_splits(part, limit):
        products[split] += 1
    counted = {split: products[split] for split in SPLITS if products[split]}
    with open(index, "w", encoding="utf-8") as file:
        file.write(json.dumps({**head, "products": counted}, ensure_ascii=False) + "\n")
        for split, product in _with_splits(part, limit):
            file.write(f'{{"split": "{split}", {product[1:]}')
    return counted


def _with_splits(part: Path, limit: int) -> Iterator[tuple[str, str]]:
    """Yields the split of each line of `part`, and its product as JSON."""
    with open(part, encoding="utf-8") as lines:
        for line in lines:
            key, split, product = line.split("\t", 2)
            yield split or ("val" if int(key) < limit else "train"), product
