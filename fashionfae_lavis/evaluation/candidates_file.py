"""Reads and writes candidate lists of the sub-test, which other systems can then be scored on.

The file is JSON and does not depend on this package: a product is named by its id, an image by its row in the dataset's
file.

    {"images": 32528, "products": 7519, "negatives": 100,
     "draws": [{"image_to_text": [{"image": 17, "products": [<positive>, <negative>, ...]}, ...],
                "text_to_image": [{"product": 2109, "images": [<positive>, <negative>, ...]}, ...]}, ...]}

A list is shorter if its subcategory has too few negatives.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lavis.common.dist_utils import is_main_process

from fashionfae_lavis.datasets.protocols import ProductSplit
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import replacing
from fashionfae_lavis.metrics.candidates import NO_CANDIDATE, Candidates, Draw, draw_lists

MOST_NEGATIVES = 1000  # a file may name this many even if the dataset is small and its lists are shorter
# Direction, in the order of `Draw` -> keys in the file of the query and of its candidates.
DIRECTIONS = {"image_to_text": ("image", "products"), "text_to_image": ("product", "images")}


def candidate_lists(split: ProductSplit, path: str | Path | None = None) -> list[Draw]:
    """Reads the lists of the sub-test from `path` if it exists; else draws them, and writes them to `path` if given.

    Args:
        split: the evaluation split.
        path: `run.candidates`.

    Raises:
        UserError: the file is damaged, belongs to another dataset, or cannot be written.
    """
    if path and Path(path).exists():
        return read_lists(split, path)
    products, subcategory = np.arange(len(split.product_ids)), split.subcategory
    draws = draw_lists(split.row_product, products, subcategory[split.row_product], subcategory)
    if path and is_main_process():
        write_lists(split, draws, path)
    return draws


def lists_digest(draws: Sequence[Draw]) -> str:
    """Returns twelve hexadecimal digits that identify the lists, to check that two evaluations used the same."""
    digest = hashlib.sha256()
    for draw in draws:
        for lists in draw:
            for rows in (lists.query, lists.candidate):
                digest.update(str(rows.shape).encode() + np.ascontiguousarray(rows, dtype="<i8").tobytes())
    return digest.hexdigest()[:12]


def write_lists(split: ProductSplit, draws: Sequence[Draw], path: str | Path) -> None:
    """Writes the lists atomically; raises UserError if they cannot be written."""
    names = _names(split)
    content = {
        "images": len(split.row_product),
        "products": len(split.product_ids),
        "negatives": draws[0].i2t.candidate.shape[1] - 1,
        "draws": [
            {
                direction: [
                    {query: names[query][row], listed: [names[listed][i] for i in line if i != NO_CANDIDATE]}
                    for row, line in zip(lists.query, lists.candidate, strict=True)
                ]
                for (direction, (query, listed)), lists in zip(DIRECTIONS.items(), draw, strict=True)
            }
            for draw in draws
        ],
    }
    with replacing(Path(path)) as temporary:
        temporary.write_text(json.dumps(content) + "\n")


def read_lists(split: ProductSplit, path: str | Path) -> list[Draw]:
    """Reads lists, and checks that each of them fits this split.

    Raises:
        UserError: the file is damaged, or a list does not fit. Its positive must belong to the query's product, and its
            negatives to other products of the same subcategory. The message names the first query that fails.
    """
    try:
        if not Path(path).is_file():  # a pipe would never end
            raise ValueError
        content = json.loads(Path(path).read_text())
        sizes = content["images"], content["products"]
        found = [
            {
                direction: [
                    (_number(line[query]), [_number(name) for name in line[listed]]) for line in draw[direction]
                ]
                for direction, (query, listed) in DIRECTIONS.items()
            }
            for draw in content["draws"]
        ]
        width = 1 + _number(content["negatives"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(
            f"run.candidates: {path} holds no candidate lists; name another file, or a new one to write lists to."
        ) from error
    if sizes != (len(split.row_product), len(split.product_ids)):
        raise _misfit(path, f"it lists {sizes[0]} images of {sizes[1]} products")
    if not found or not all(draw[direction] for draw in found for direction in DIRECTIONS):
        raise _misfit(path, "a draw has no queries")
    if not 1 <= width <= 1 + max(MOST_NEGATIVES, len(split.row_product)):
        raise _misfit(path, f"it names {width - 1} negatives")
    return [
        Draw(*(_rows(split, path, width, direction, draw[direction]) for direction in DIRECTIONS)) for draw in found
    ]


def _number(value: Any) -> int:
    """Returns an id or count; raises TypeError for anything else, also for 3.5, which int() would round."""
    if type(value) is not int:
        raise TypeError
    return value


def _rows(
    split: ProductSplit, path: str | Path, width: int, direction: str, lines: list[tuple[int, list[int]]]
) -> Candidates:
    """Converts lists of names to lists of the split's rows."""
    query_key, listed_key = DIRECTIONS[direction]
    row_of = {key: {name: row for row, name in enumerate(names)} for key, names in _names(split).items()}
    product_of = {"image": split.row_product, "product": np.arange(len(split.product_ids))}
    product_of["images"], product_of["products"] = product_of["image"], product_of["product"]
    candidate = np.full((len(lines), width), NO_CANDIDATE, dtype=np.int64)
    queries = np.empty(len(lines), dtype=np.int64)
    for position, (query, listed) in enumerate(lines):
        where = f"{direction}, {query_key} {query}"
        if query not in row_of[query_key] or not set(listed) <= row_of[listed_key].keys():
            raise _misfit(path, f"{where}: an id is unknown")
        if not 1 <= len(listed) <= width or len(set(listed)) < len(listed):
            raise _misfit(path, f"{where}: the list is empty, too long, or repeats an entry")
        queries[position] = row_of[query_key][query]
        candidate[position, : len(listed)] = [row_of[listed_key][name] for name in listed]
        product = product_of[query_key][queries[position]]
        products = product_of[listed_key][candidate[position, : len(listed)]]
        if products[0] != product or (products[1:] == product).any():
            raise _misfit(path, f"{where}: the first entry, and no other, must belong to the query's product")
        if (split.subcategory[products] != split.subcategory[product]).any():
            raise _misfit(path, f"{where}: a negative belongs to another subcategory")
    return Candidates(queries, candidate)


def _names(split: ProductSplit) -> dict[str, list[int]]:
    """Returns the name of each image row and of each product, as the file spells it."""
    images, products = list(range(len(split.row_product))), split.product_ids.tolist()
    return {"image": images, "images": images, "product": products, "products": products}


def _misfit(path: str | Path, reason: str) -> UserError:
    return UserError(
        f"run.candidates: {path} does not fit this dataset ({reason}); name another file, or a new one to draw lists "
        "into."
    )
