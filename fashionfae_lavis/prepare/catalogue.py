"""`fashionfae prepare catalogue`: turns a product table and a folder of images, or the folder alone, into a catalogue.

Reads every row and decodes every image once. Usable products go into the index `catalogue.jsonl` (see
datasets/datasets/catalogue_file.py), problems into `rejected.csv`. `duplicates.csv` lists products that show the same
photograph; they are kept in one split. The table and the images are not changed. Memory: about 0.2 kB per product, plus
the distinct attribute values.
"""

import csv
import os
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from fashionfae_lavis.datasets.datasets.catalogue_file import FORMAT, NAME
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import make_folder, replacing
from fashionfae_lavis.locks import hold
from fashionfae_lavis.prepare.attributes import why_useless
from fashionfae_lavis.prepare.duplicates import Fingerprints, Groups
from fashionfae_lavis.prepare.folders import FolderProducts
from fashionfae_lavis.prepare.image_checks import checked_images
from fashionfae_lavis.prepare.index import counted, part_line, read_parts, without_fields, write_duplicates, write_index
from fashionfae_lavis.prepare.products import ProductRows
from fashionfae_lavis.prepare.source import Product, ProductSource
from fashionfae_lavis.prepare.splits import drawn_splits
from fashionfae_lavis.prepare.summary import Duplicates, Summary
from fashionfae_lavis.prepare.tables import Table
from fashionfae_lavis.prepare.texts import is_utf8, spreadsheet_cell
from fashionfae_lavis.prepare.vocabulary import FOLDER as VOCABULARY
from fashionfae_lavis.prepare.vocabulary import TextLengths, measure_texts, write_vocabulary
from fashionfae_lavis.text.product_text import TEXT_MODES, fashion_text, normalise
from fashionfae_lavis.workers import progress_bar

REJECTED = "rejected.csv"
REFUSED = "refused.csv"  # the report of a command that would have replaced a catalogue, but has too many bad rows
DUPLICATES = "duplicates.csv"
MAX_LENGTH = 120  # word pieces that the shipped models read
LOCK = ".lock"


@dataclass
class _Tally:
    """Running counts over the rows.

    Attributes:
        examples: problem -> the first row that has it, with details, or "".
        keys: a pseudo-random number for each product, which decides its split.
        titles, texts: a digest for each product; equal texts have equal digests.
        filled: attribute -> number of products that have a value.
    """

    rows: int = 0
    unusable: int = 0
    left_out: int = 0
    images: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    missing: Counter[str] = field(default_factory=Counter)
    keys: "array[int]" = field(default_factory=lambda: array("Q"))
    titles: "array[int]" = field(default_factory=lambda: array("Q"))
    texts: "array[int]" = field(default_factory=lambda: array("Q"))
    filled: Counter[str] = field(default_factory=Counter)
    fingerprints: Fingerprints = field(default_factory=Fingerprints)

    def refuse(self, row: int, problem: str) -> None:
        """Counts an unusable row by the part of its problem before the colon."""
        kind, _, details = problem.partition(": ")
        self.unusable += 1
        self.problems[kind] += 1
        self.examples.setdefault(kind, details and f"; in row {row}, {details}")


def prepare_catalogue(
    table: str | Path | None,
    images: str | Path,
    out: str | Path,
    columns: dict[str, str] | None = None,
    attributes: dict[str, str] | None = None,
    pattern: str | None = None,
    validation: float = 0.1,
    seed: int = 0,
    max_bad: float = 0.05,
    group: Sequence[str] = (),
    title: str | None = None,
    vocabulary: str | None = None,
) -> Summary:
    """Writes an index, two reports and a vocabulary into `out`; the same input gives the same files.

    Args:
        table: the product table; see tables.py for the formats. Without one, each photograph is a product; see
            folders.py.
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
        group: columns; rows with equal values in them are variants of one product, see grouping.py.
        title: a template of the title, instead of a column; see `templates.TitleTemplate`.
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
        if path and not is_utf8(str(path)):
            raise UserError(f"{key} {str(path)!r} has a name that is not UTF-8: rename it.")
    if not images.is_dir():
        raise UserError(f"--images {images} is not a folder: name the folder of the images.")
    source: ProductSource
    if table:
        source = ProductRows(Table(table), images, columns or {}, attributes or {}, pattern, group, title)
    else:
        _refuse_columns(map=columns, attributes=attributes, pattern=pattern, group=group, title=title)
        source = FolderProducts(images)
    suggested = source.suggested_attributes()
    make_folder(out)
    with hold(out, LOCK, "Another preparation is running", "use another --out"):
        tally, groups, useless, splits, lengths = _write_files(
            source, images, out, validation, seed, max_bad, vocabulary
        )
    return Summary(
        path=out / NAME,
        rows=tally.rows,
        unusable=tally.unusable,
        left_out=tally.left_out,
        images=tally.images,
        products=counted(splits),
        problems=dict(tally.problems),
        values={name: len(known) for name, known in source.spellings.known.items() if name not in useless},
        decode_fallbacks=source.decode_fallbacks,
        respelled=source.spellings.changed,
        merged=source.spellings.merged,
        missing=dict(tally.missing),
        duplicates=Duplicates(
            titles=_repeated(tally.titles),
            texts=_repeated(tally.texts),
            identical=groups.identical,
            near=groups.near,
            leaks=groups.leaks(np.array(splits) == "train"),
        ),
        addresses=source.addresses,
        merged_rows=source.merged_rows,
        useless=useless,
        suggested=suggested,
        lengths=lengths,
    )


def _refuse_columns(**options: object) -> None:
    """Raises UserError if an option is given that names columns of a table."""
    given = next((name for name, value in options.items() if value), None)
    if given:
        raise UserError(f"--{given} names columns of a table: name the table with --table, or leave out --{given}.")


def _write_files(
    source: ProductSource,
    images: Path,
    out: Path,
    validation: float,
    seed: int,
    max_bad: float,
    vocabulary: str | None,
) -> tuple[_Tally, Groups, dict[str, str], list[str], TextLengths]:
    """Writes all files. They replace older ones together, once everything has been checked.

    Returns:
        The counts, the groups of equal photographs, why attributes are left out, the split of each product, and the
        lengths of the texts.
    """
    with (
        replacing(out / NAME) as index,
        replacing(out / DUPLICATES) as duplicates,
        replacing(out / REJECTED) as rejected,
    ):
        part = index.with_name(f"{index.stem}.part.tmp")
        try:
            tally = _write_rows(source, images, part, rejected, seed)
            _check_share(out, rejected, tally, max_bad)
            useless = _useless(source, tally)
            if useless:
                tally.texts = array("Q", map(_text_key, without_fields(part, useless)))
            head = {
                "format": FORMAT,
                "table": source.path.name,
                "images": _folder_name(images, out),
                "attributes": [name for name in source.attributes if name not in useless],
            }
            groups = tally.fingerprints.groups(len(tally.keys))
            drawn = drawn_splits(groups, tally.keys, 0 if source.names_splits else validation)
            splits = [split or drawn[i] for i, (split, _) in enumerate(read_parts(part))]
            write_index(index, part, head, splits)
            write_duplicates(duplicates, part, splits, groups)
            lengths = measure_texts(index, write_vocabulary(index, out / VOCABULARY, vocabulary), MAX_LENGTH)
        finally:
            part.unlink(missing_ok=True)
    (out / REFUSED).unlink(missing_ok=True)
    return tally, groups, useless, splits, lengths


def _useless(source: ProductSource, tally: _Tally) -> dict[str, str]:
    """Returns the attributes that teach nothing, each with the reason."""
    reasons = {name: why_useless(len(known), tally.filled[name]) for name, known in source.spellings.known.items()}
    return {name: reason for name, reason in reasons.items() if reason}


def _write_rows(source: ProductSource, folder: Path, part: Path, rejected: Path, seed: int) -> _Tally:
    """Writes usable products to `part`, one per line, and each problem of a row or an image to `rejected`."""
    tally = _Tally()
    with (
        open(part, "w", encoding="utf-8") as lines,
        open(rejected, "w", encoding="utf-8", errors="backslashreplace", newline="") as report,
        progress_bar(source.count(), "checking images", "product") as bar,
    ):
        writer = csv.writer(report)
        writer.writerow(["row", "id", "image", "problem", "row is used"])
        for product, found in checked_images(source, folder, source.path):
            bar.update()
            tally.rows += 1
            bad = [(image.name, image.problem) for image in found if image.problem]
            good = {image.name: image.fingerprint for image in found if image.fingerprint}
            used = bool(good) and not product.problem
            for name, problem in [("", product.problem)] if product.problem else bad:
                cells = (product.row, product.id, name, problem, "yes" if used else "no")
                writer.writerow(map(spreadsheet_cell, cells))
            if not used:
                tally.refuse(product.row, product.problem or f"image {bad[0][1]}")
                continue
            product.fields = source.unified(product.fields)
            _count(tally, product, seed)
            tally.left_out += len(bad)
            tally.images += len(good)
            for prints in good.values():
                tally.fingerprints.add(len(tally.keys) - 1, prints)
            lines.write(part_line(product, list(good)))
    return tally


def _count(tally: _Tally, product: Product, seed: int) -> None:
    """Counts a usable product."""
    title = normalise(product.title) or f"no title in row {product.row}"
    tally.keys.append(_key(f"{seed}:{product.id}"))
    tally.titles.append(_key(title))
    tally.texts.append(_text_key(vars(product)))
    tally.missing.update(product.missing)
    tally.filled.update(product.fields.keys())


def _text_key(product: Mapping[str, Any]) -> int:
    """Returns the digest of a product's text with all attributes."""
    texts = {"title": product["title"], "description": product["description"], **product["fields"]}
    return _key(fashion_text(texts, TEXT_MODES[1]) if any(texts.values()) else f"no text in row {product['row']}")


def _key(text: str) -> int:
    """Returns a pseudo-random number that is the same for this text in every run."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def _check_share(out: Path, rejected: Path, tally: _Tally, max_bad: float) -> None:
    """Raises UserError if too many rows are unusable; their report is kept, but does not replace a catalogue's."""
    rows, unusable = tally.rows, tally.unusable
    if not rows:
        raise UserError(f"{out} would have no products, because the table has no rows: use one with rows.")
    if unusable <= max_bad * rows and unusable < rows:
        return
    report = out / (REFUSED if (out / NAME).exists() else REJECTED)
    os.replace(rejected, report)
    problems = tally.problems.most_common(4)
    found = ", ".join(f"{number} {problem}" for problem, number in problems)
    found += next(filter(None, (tally.examples[problem] for problem, _ in problems)), "")
    more = ", or allow more with --max-bad" if unusable < rows else ""
    raise UserError(f"{unusable} of {rows} rows cannot be used ({found}): correct the rows listed in {report}{more}.")


def _folder_name(images: Path, out: Path) -> str:
    """Returns a relative path if the images are below the catalogue, so that both can be moved together."""
    images, out = images.resolve(), out.resolve()
    return os.path.relpath(images, out) if images.is_relative_to(out) else str(images)


def _repeated(digests: "array[int]") -> int:
    """Returns how many entries occur more than once."""
    _, times = np.unique(np.array(digests, dtype=np.uint64), return_counts=True)
    return int(times[times > 1].sum())
