"""`fashionfae prepare catalogue`: turns a product table and a folder of images into a catalogue.

Reads every row and decodes every image once. Usable products go into the index `catalogue.jsonl` (see
datasets/datasets/catalogue_file.py), problems into `rejected.csv`, and products that show the same photograph into
`duplicates.csv`; these are in one split. The table and the images are not changed. Memory: about 0.2 kB per product,
plus the distinct attribute values.
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

import numpy as np

from fashionfae_lavis.datasets.datasets.catalogue_file import FORMAT, NAME, SPLITS
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import make_folder, replacing
from fashionfae_lavis.prepare.duplicates import Fingerprints, Groups, fingerprint
from fashionfae_lavis.prepare.images import Pattern, checked_photograph, listed_images
from fashionfae_lavis.prepare.tables import CellError, Table, cell_text, missing_spelling
from fashionfae_lavis.prepare.texts import Spellings, plain_text, spreadsheet_cell
from fashionfae_lavis.prepare.vocabulary import FOLDER as VOCABULARY
from fashionfae_lavis.prepare.vocabulary import TextLengths, measure_texts, write_vocabulary
from fashionfae_lavis.text.product_text import FREE_TEXT, TEXT_MODES, fashion_text, normalise
from fashionfae_lavis.workers import WorkerDied, all_cores, in_workers, progress_bar

REJECTED = "rejected.csv"
DUPLICATES = "duplicates.csv"
# Role of a column -> column names that are found automatically, without --map.
ROLES = {
    "id": ("id", "sku", "product_id"),
    "title": ("title", "name", "product_name"),
    "description": ("description",),
    "image": ("image", "images", "image_path"),
    "split": ("split",),
}
SPLIT_NAMES = {"training": "train", "validation": "val", "valid": "val", "dev": "val"} | {name: name for name in SPLITS}
MAX_LENGTH = 120  # word pieces that the shipped models read
CHUNK = 32  # rows that a worker checks at a time

CheckedImage = tuple[str, tuple[bytes, bytes] | None]  # its problem, and the fingerprint of an image without one


@dataclass
class Product:
    """A row of the table.

    Attributes:
        problem: why it cannot be used, "" if it can.
        missing: how cells spell that they have no value.
    """

    row: int
    id: str = ""
    split: str = ""
    title: str = ""
    description: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)
    problem: str = ""
    missing: list[str] = field(default_factory=list)


@dataclass
class Duplicates:
    """Numbers of products that equal another product.

    Attributes:
        titles: of the same title.
        texts: of the same text with all attributes.
        identical: with an image file that equals the other's byte by byte.
        near: of the others, with a photograph that nearly equals the other's.
        leaks: of the products outside of training, those that share a photograph with one in training.
    """

    titles: int
    texts: int
    identical: int
    near: int
    leaks: int


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
        values: attribute -> number of distinct values of the catalogue's products.
        decode_fallbacks: number of byte sequences that were not UTF-8 and read as Windows-1252.
        respelled: number of attribute values that were changed to the first spelling.
        merged: (attribute, spelling, other spelling) of values that are read as one although they differ in a sign.
        missing: spelling -> number of cells of the catalogue's products that were read as missing, such as `N/A`.
        duplicates: products that equal others.
        lengths: lengths of the training products' texts in word pieces.
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
    merged: list[tuple[str, str, str]]
    missing: dict[str, int]
    duplicates: Duplicates
    lengths: TextLengths


@dataclass
class _Tally:
    """Running counts over the rows.

    Attributes:
        keys: a pseudo-random number for each product, which decides its split.
        titles, texts: a digest for each product; equal texts have equal ones.
    """

    rows: int = 0
    unusable: int = 0
    left_out: int = 0
    images: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    keys: "array[int]" = field(default_factory=lambda: array("Q"))
    titles: "array[int]" = field(default_factory=lambda: array("Q"))
    texts: "array[int]" = field(default_factory=lambda: array("Q"))
    fingerprints: Fingerprints = field(default_factory=Fingerprints)


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
    vocabulary: str | None = None,
) -> Summary:
    """Writes an index, two reports and a vocabulary into `out`; the same input gives the same files.

    Args:
        table: the product table; see tables.py for the formats.
        images: the folder that image paths are relative to.
        out: the folder to write into.
        columns: a role of `ROLES` -> its column.
        attributes: name of an attribute in prompts -> its column.
        pattern: a pattern of image files, instead of a column that lists them; see `images.Pattern`.
        validation: share of products in the split `val`; ignored if a column gives the splits. `seed` and a product's
            id decide its split, so hardly any product changes its split when others are added. Products that show the
            same photograph are in one split.
        seed: seed of the random choice of validation products.
        max_bad: share of rows that may be unusable.
        vocabulary: a vocabulary to copy (see `load_tokenizer`) instead of making one from the texts.

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
    for key, path in {"--table": table, "--images": images, "--out": out}.items():
        if not _is_utf8(str(path)):
            raise UserError(f"{key} {str(path)!r} has a name that is not UTF-8: rename it.")
    if not images.is_dir():
        raise UserError(f"--images {images} is not a folder: name the folder of the images.")
    source = Table(table)
    rows = _Rows(source, images, columns or {}, attributes or {}, pattern)
    make_folder(out)
    with replacing(out / NAME) as index:
        part = index.with_name(f"{index.stem}.part.tmp")
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
            groups = tally.fingerprints.groups(len(tally.keys))
            drawn = _drawn_validation(groups, tally.keys, 0 if "split" in rows.columns else validation)
            splits = [split or drawn[i] for i, (split, _) in enumerate(_parts(part))]
            products = _write_index(index, part, head, splits)
            with replacing(out / DUPLICATES) as duplicates:
                _write_duplicates(duplicates, part, splits, groups)
        finally:
            part.unlink(missing_ok=True)
    tokenizer = write_vocabulary(out / NAME, out / VOCABULARY, vocabulary)
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
        merged=rows.spellings.merged,
        missing=dict(tally.missing),
        duplicates=Duplicates(
            titles=_repeated(tally.titles),
            texts=_repeated(tally.texts),
            identical=groups.identical,
            near=groups.near,
            leaks=groups.leaks(np.array(splits) == "train"),
        ),
        lengths=measure_texts(out / NAME, tokenizer, MAX_LENGTH),
    )


class _Rows:
    """The table's rows as products, with all checks except of images."""

    def __init__(self, table: Table, folder: Path, columns: dict, attributes: dict, pattern: str | None):
        self.table = table
        self.columns = _find_columns(table, columns)
        self.attributes: dict[str, str] = {}
        for name, column in attributes.items():
            words = _attribute_name(name)
            if words in self.attributes:
                raise UserError(f"--attributes {name}: another attribute is called {words} too, so rename one.")
            _require(table, column, f"--attributes {words}={column}")
            self.attributes[words] = column
        if not {"title", "description"} & self.columns.keys():
            raise _unmapped(table, "title", "description")
        self.pattern = Pattern(pattern, folder, table.columns) if pattern else None
        if not self.pattern and "image" not in self.columns:
            raise _unmapped(table, "image")
        self.spellings = Spellings(self.attributes)

    def unified(self, fields: dict[str, str]) -> dict[str, str]:
        """Returns a product's attributes in the first spelling of each value, without empty ones."""
        spelled = {name: self.spellings.of(name, value) for name, value in fields.items()}
        return {name: value for name, value in spelled.items() if value}

    def __iter__(self) -> Iterator[Product]:
        seen: set[bytes] = set()
        for number, cells, problem in self.table:
            product = Product(number, problem=problem)
            if not problem:
                try:
                    self._fill(product, cells)
                except CellError as error:
                    product.problem = f"unreadable cell: {error}"
                digest = blake2b(product.id.encode(), digest_size=16).digest()
                if digest in seen and not product.problem:
                    product.problem = "duplicate id"
                seen.add(digest)
            yield product

    def _fill(self, product: Product, cells: dict) -> None:
        used = [*self.columns.values(), *self.attributes.values()]
        product.missing = list(filter(None, (missing_spelling(cells.get(column)) for column in used)))
        text = {role: _text(cells, column) for role, column in self.columns.items()}
        product.id = text.get("id", str(product.row))
        product.title, product.description = (plain_text(text.get(name, "")) for name in FREE_TEXT)
        product.split = SPLIT_NAMES.get(text.get("split", "").lower(), "")
        product.images = self.pattern.images(cells) if self.pattern else listed_images(cells.get(self.columns["image"]))
        for name, column in self.attributes.items():
            product.fields[name] = plain_text(_text(cells, column))
        if not product.id:
            product.problem = "no id"
        elif not any(letter.isalnum() for letter in product.title + product.description):
            product.problem = "no text"
        elif "split" in self.columns and not product.split:
            product.problem = f"unknown split: {text['split'][:50]!r}, none of {', '.join(SPLIT_NAMES)}"
        elif not product.images:
            product.problem = "no image"


def _text(cells: dict, column: str) -> str:
    """Returns a cell as text; raises CellError that names the column."""
    try:
        return cell_text(cells.get(column))
    except CellError as error:
        raise CellError(f"{column} {error}") from error


def _find_columns(table: Table, columns: dict[str, str]) -> dict[str, str]:
    """Returns the column of each role, given in `columns` or found by its name; omits roles without a column."""
    unknown = columns.keys() - ROLES.keys()
    if unknown:
        raise UserError(f"--map {min(unknown)}=...: use one of {', '.join(ROLES)} instead of {min(unknown)}.")
    found = {}
    lower = {column.lower(): column for column in reversed(table.columns)}
    for role, names in ROLES.items():
        column = columns.get(role) or next((lower[name] for name in names if name in lower), None)
        if column:
            _require(table, column, f"--map {role}={column}")
            found[role] = column
    return found


def _require(table: Table, column: str, where: str) -> None:
    if column not in table.columns:
        raise UserError(f"{where}: {table.path} lacks this column; use one of {table.shown_columns()}.")
    if column in table.repeated:
        raise UserError(f"{where}: {table.path} has several columns called {column!r}; rename all but one.")


def _unmapped(table: Table, *roles: str) -> UserError:
    wanted = " or ".join(f"--map {role}=COLUMN" for role in roles)
    more = ", or --pattern" if roles == ("image",) else ""
    return UserError(
        f"{table.path} has no column called {' or '.join(roles)}: name one of its columns ({table.shown_columns()}) "
        f"with {wanted}{more}."
    )


def _attribute_name(name: str) -> str:
    """Returns an attribute's name in prompts: `Primary_Colour` -> `primary colour`."""
    words = normalise(name.replace("_", " "))
    if not words or words in FREE_TEXT:
        raise UserError(f"--attributes {name}: give the attribute a name in words other than title and description.")
    return words


def _check_chunk(chunk: list[list[str]], folder: Path) -> list[list[CheckedImage]]:
    """Checks each image of each row of a chunk."""
    return [[_checked_image(name, folder) for name in row] for row in chunk]


def _checked_image(name: str, folder: Path) -> CheckedImage:
    if "://" in name:
        return "is a web address", None
    if not _is_utf8(name):
        return "has a name that is not UTF-8", None
    problem, photograph = checked_photograph(name, folder)
    if photograph is None:
        return problem, None
    try:
        return "", fingerprint(os.path.join(folder, name), photograph)
    except OSError as error:  # deleted since
        return f"cannot be read: {error.strerror}", None


def _is_utf8(name: str) -> bool:
    """Returns whether a name can be written; Python reads other bytes of file names as lone surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _checked(rows: _Rows, folder: Path) -> Iterator[tuple[Product, list[CheckedImage]]]:
    """Yields each product with its images, which worker processes decode."""
    waiting: deque[list[Product]] = deque()

    def chunks() -> Iterator[list[list[str]]]:
        products = iter(rows)
        while chunk := list(islice(products, CHUNK)):
            waiting.append(chunk)
            yield [[] if product.problem else product.images for product in chunk]

    try:
        for found in in_workers(partial(_check_chunk, folder=folder), chunks(), all_cores()):
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
        open(rejected, "w", encoding="utf-8", errors="backslashreplace", newline="") as report,
        progress_bar(None, "checking images", "product") as bar,
    ):
        writer = csv.writer(report)
        writer.writerow(["row", "id", "image", "problem", "row is used"])
        for product, found in _checked(rows, folder):
            bar.update()
            tally.rows += 1
            images = list(zip(product.images, found, strict=False))
            bad = [(name, problem) for name, (problem, _) in images if problem]
            good = {name: prints for name, (_, prints) in images if prints}
            used = bool(good) and not product.problem
            for name, problem in [("", product.problem)] if product.problem else bad:
                cells = (product.row, product.id, name, problem, "yes" if used else "no")
                writer.writerow(map(spreadsheet_cell, cells))
            if not used:
                tally.unusable += 1
                tally.problems[(product.problem or f"image {bad[0][1]}").partition(":")[0]] += 1
                continue
            product.fields = rows.unified(product.fields)
            _count(tally, product, seed)
            tally.left_out += len(bad)
            tally.images += len(good)
            for prints in good.values():
                tally.fingerprints.add(len(tally.keys) - 1, prints)
            lines.write(f"{product.split}\t{_line(product, list(good))}\n")
    return tally


def _count(tally: _Tally, product: Product, seed: int) -> None:
    """Counts a usable product."""
    texts = {"title": product.title, "description": product.description, **product.fields}
    title = normalise(product.title) or f"no title in row {product.row}"
    tally.keys.append(_key(f"{seed}:{product.id}"))
    tally.titles.append(_key(title))
    tally.texts.append(_key(fashion_text(texts, TEXT_MODES[1])))
    tally.missing.update(product.missing)


def _key(text: str) -> int:
    """Returns a pseudo-random number that is the same for this text in every run."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


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
    if not rows:
        raise UserError(f"{report.parent} gets no product, because the table has no rows: use one with rows.")
    if unusable <= max_bad * rows and unusable < rows:
        return
    found = ", ".join(f"{number} {problem}" for problem, number in tally.problems.most_common(4))
    more = ", or allow more with --max-bad" if unusable < rows else ""
    raise UserError(f"{unusable} of {rows} rows cannot be used ({found}): correct the rows listed in {report}{more}.")


def _folder_name(images: Path, out: Path) -> str:
    """Returns a relative path if the images are below the catalogue, so that both can be moved together."""
    images, out = images.resolve(), out.resolve()
    return os.path.relpath(images, out) if images.is_relative_to(out) else str(images)


def _drawn_validation(groups: Groups, keys: "array[int]", validation: float) -> list[str]:
    """Draws the split of each product; those of a group get the same.

    A group is drawn by its highest key, so that large groups are more often in training. Groups of the lowest keys
    become `val`, up to the wanted number of products.
    """
    splits = np.full(len(keys), "train", dtype=object)
    highest = np.zeros(groups.labels.max(initial=-1) + 1, dtype=np.uint64)
    if validation == 0 or len(highest) < 2:
        return splits.tolist()
    np.maximum.at(highest, groups.labels, np.array(keys, dtype=np.uint64))
    sizes = np.bincount(groups.labels)
    wanted = min(max(1, round(validation * len(keys))), len(keys) - 1)
    chosen = np.zeros(len(highest), dtype=bool)
    for group in np.argsort(highest):
        if sizes[group] <= wanted:
            chosen[group] = True
            wanted -= sizes[group]
    if not chosen.any():  # every group is larger
        chosen[np.argmin(sizes)] = True
    splits[chosen[groups.labels]] = "val"
    return splits.tolist()


def _write_index(index: Path, part: Path, head: dict, splits: list[str]) -> dict[str, int]:
    """Writes the index from `part`; returns the number of products in each split."""
    products = Counter(splits)
    counted = {split: products[split] for split in SPLITS if products[split]}
    with open(index, "w", encoding="utf-8") as file:
        file.write(json.dumps({**head, "products": counted}, ensure_ascii=False) + "\n")
        for split, (_, product) in zip(splits, _parts(part), strict=True):
            file.write(f'{{"split": "{split}", {product[1:]}')
    return counted


def _write_duplicates(path: Path, part: Path, splits: list[str], groups: Groups) -> None:
    """Lists the products of each group that has several, by group."""
    sizes = groups.sizes()
    members: dict[int, list] = {}
    for number, (split, (_, product)) in enumerate(zip(splits, _parts(part), strict=True)):
        if sizes[number] > 1:
            content = json.loads(product)
            cells = (content["row"], content["id"], split, "|".join(content["images"]))
            members.setdefault(int(groups.labels[number]), []).append(cells)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["group", "row", "id", "split", "images"])
        for group, products in enumerate(members.values(), start=1):
            writer.writerows(map(spreadsheet_cell, (group, *cells)) for cells in products)


def _parts(part: Path) -> Iterator[tuple[str, str]]:
    """Yields the split of each line of `part`, "" if it is to be drawn, and its product as JSON."""
    with open(part, encoding="utf-8") as lines:
        for line in lines:
            split, product = line.split("\t", 1)
            yield split, product


def _repeated(digests: "array[int]") -> int:
    """Returns how many entries occur more than once."""
    _, times = np.unique(np.array(digests, dtype=np.uint64), return_counts=True)
    return int(times[times > 1].sum())
