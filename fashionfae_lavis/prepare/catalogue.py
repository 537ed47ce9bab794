"""`fashionfae prepare catalogue`: a product table and a folder of images -> a catalogue that the builders read.

Every row is looked at and every image decoded, once. What can be used goes into the index `catalogue.jsonl` (see
datasets/datasets/catalogue_file.py), what cannot into `rejected.csv`. Neither the table nor the images are touched.
What is in memory does not grow with the table, but for each product's id and 8 bytes (which decide its split) and the
distinct values of the attributes.
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
# What a row is read for, and the names of columns that say so where --map does not.
ROLES = {
    "id": ("id", "sku", "product_id"),
    "title": ("title", "name", "product_name"),
    "description": ("description",),
    "image": ("image", "images", "image_path"),
    "split": ("split",),
}
SPLIT_NAMES = {"training": "train", "validation": "val", "valid": "val", "dev": "val"} | {name: name for name in SPLITS}
CHUNK = 32  # rows that a worker looks at before it answers


@dataclass
class Product:
    """A row of the table. `problem`: why it cannot be used, empty where it can."""

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
    """What was found: counts of rows, and of products by split."""

    path: Path
    rows: int
    unusable: int
    left_out: int  # images of products that have others
    images: int
    products: dict[str, int]
    problems: dict[str, int]
    values: dict[str, int]  # attribute -> how many it has
    decode_fallbacks: int
    respelled: int


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
    """Write `out`/catalogue.jsonl and `out`/rejected.csv; the same input gives the same files.

    Args:
        columns: a role of ROLES -> the column that has it.
        attributes: the name of an attribute in prompts -> its column.
        pattern: of image files, in place of a column that lists them (see images.Pattern).
        validation: share of the products that becomes the split `val`, drawn by `seed` and id, so that a product stays
            where it is when others are added, or nearly so; not used with a column of splits.
        max_bad: share of the rows that may be unusable.

    Raises:
        UserError: a file or column is missing, more rows than that are unusable, none is usable, or `out` cannot be
            written.
    """
    out, images = Path(out), Path(images)
    for key, share in {"--validation": validation, "--max-bad": max_bad}.items():
        if not 0 <= share <= 1:
            raise UserError(f"{key} is {share}, but must be a share between 0 and 1.")
    if not images.is_dir():
        raise UserError(f"--images {images} is no folder.")
    source = Table(table)
    rows = _Rows(source, images, columns or {}, attributes or {}, pattern)
    make_folder(out)
    work = partial(_problems, folder=images)
    counts, keys = Counter(), array("Q")
    problems: Counter = Counter()
    with replacing(out / NAME) as index:
        part = index.with_name(index.name + ".part")
        try:
            with replacing(out / REJECTED) as rejected:
                _sort_out(rows, work, part, rejected, (counts, problems, keys, seed))
            _refuse(out / REJECTED, counts, problems, max_bad)
            head = {
                "format": FORMAT,
                "table": source.path.name,
                "images": _folder_name(images, out),
                "attributes": list(rows.attributes),
            }
            products = _write_index(index, part, head, keys, None if "split" in rows.columns else validation)
        finally:
            part.unlink(missing_ok=True)
    return Summary(
        path=out / NAME,
        rows=counts["rows"],
        unusable=counts["unusable"],
        left_out=counts["left out"],
        images=counts["images"],
        products=products,
        problems=dict(problems),
        values={name: len(known) for name, known in rows.spellings.known.items()},
        decode_fallbacks=source.decode_fallbacks,
        respelled=rows.spellings.changed,
    )


class _Rows:
    """The table's rows as products, each with what can be told without opening its images."""

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
        seen = set()
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
    unknown = columns.keys() - ROLES.keys()
    if unknown:
        raise UserError(f"--map {min(unknown)}=...: there is no such part; known are {', '.join(ROLES)}.")
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
        raise UserError(f"{where}: {table.path} has no such column; its columns are {', '.join(table.columns)}.")


def _unmapped(table: Table, *roles: str) -> UserError:
    wanted = " or ".join(f"--map {role}=COLUMN" for role in roles)
    more = ", or --pattern" if roles == ("image",) else ""
    return UserError(
        f"{table.path} has no column called {' or '.join(roles)}: name it by {wanted}{more}; its columns are "
        f"{', '.join(table.columns)}."
    )


def _attribute_name(name: str) -> str:
    """The words of a prompt: `Primary_Colour` -> `primary colour`."""
    words = normalise(name.replace("_", " "))
    if not words or words in FREE_TEXT:
        raise UserError(f"--attributes {name}: an attribute needs a name in words, other than title and description.")
    return words


def _problems(chunk: list[list[str]], folder: Path) -> list[list[str]]:
    """For each image of each row of a chunk, what is wrong with it."""
    return [
        ["is a web address" if "://" in name else image_problem(os.path.join(folder, name)) for name in row]
        for row in chunk
    ]


def _looked_at(rows: _Rows, work) -> Iterator[tuple[Product, list[str]]]:
    """Each product with the problems of its images, all of which the workers have decoded."""
    waiting: deque[list[Product]] = deque()

    def chunks() -> Iterator[list[list[str]]]:
        products = iter(rows)
        while chunk := list(islice(products, CHUNK)):
            waiting.append(chunk)
            yield [[] if product.problem else product.images for product in chunk]

    try:
        for found in in_workers(work, chunks(), all_cores()):
            yield from zip(waiting.popleft(), found, strict=True)
    except WorkerDied as error:
        raise UserError(
            f"{rows.table.path}: a process that looks at images has died near row {waiting[0][0].row}, which a lack of "
            "memory can do: free some and start again."
        ) from error


def _sort_out(rows: _Rows, work, part: Path, rejected: Path, tally) -> None:
    """Usable products to `part`, a line each; to `rejected` what is wrong, a line for each row or image."""
    counts, problems, keys, seed = tally
    with (
        open(part, "w", encoding="utf-8") as lines,
        open(rejected, "w", encoding="utf-8", newline="") as report,
        progress_bar(None, "looking at images", "product") as bar,
    ):
        writer = csv.writer(report)
        writer.writerow(["row", "id", "image", "problem", "row is used"])
        for product, found in _looked_at(rows, work):
            bar.update()
            counts["rows"] += 1
            bad = [(name, problem) for name, problem in zip(product.images, found, strict=False) if problem]
            good = [name for name, problem in zip(product.images, found, strict=False) if not problem]
            used = bool(good) and not product.problem
            for name, problem in [("", product.problem)] if product.problem else bad:
                writer.writerow([product.row, product.id, name, problem, "yes" if used else "no"])
            if not used:
                counts["unusable"] += 1
                problems[(product.problem or f"image {bad[0][1]}").partition(":")[0]] += 1
                continue
            counts["left out"] += len(bad)
            counts["images"] += len(good)
            keys.append(_key(seed, product.id))
            lines.write(f"{keys[-1]}\t{product.split}\t{_line(product, good)}\n")


def _key(seed: int, name: str) -> int:
    """A number that looks random, and is the same for this product in every run."""
    return int.from_bytes(blake2b(f"{seed}:{name}".encode(), digest_size=8).digest(), "big")


def _line(product: Product, images: list[str]) -> str:
    """A product in JSON, all but its split."""
    content = {
        "row": product.row,
        "id": product.id,
        "images": images,
        "title": product.title,
        "description": product.description,
        "fields": product.fields,
    }
    return json.dumps(content, ensure_ascii=False)


def _refuse(report: Path, counts: Counter, problems: Counter, max_bad: float) -> None:
    rows, unusable = counts["rows"], counts["unusable"]
    if unusable <= max_bad * rows and unusable < rows:
        return
    found = ", ".join(f"{number} {problem}" for problem, number in problems.most_common(4))
    mend = "mend the table, or allow more by --max-bad" if unusable < rows else "mend the table"
    raise UserError(f"{unusable} of {rows} rows cannot be used ({found}): {report} names them all; {mend}.")


def _folder_name(images: Path, out: Path) -> str:
    """Relative where the images lie below the catalogue, so that all of it can be moved."""
    images, out = images.resolve(), out.resolve()
    return os.path.relpath(images, out) if images.is_relative_to(out) else str(images)


def _write_index(index: Path, part: Path, head: dict, keys: array, validation: float | None) -> dict[str, int]:
    """The lines of `part` below a first line, those with the lowest keys as `val`; returns products by split."""
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
    """The split of each line of `part`, and the rest of the line, JSON."""
    with open(part, encoding="utf-8") as lines:
        for line in lines:
            key, split, product = line.split("\t", 2)
            yield split or ("val" if int(key) < limit else "train"), product
