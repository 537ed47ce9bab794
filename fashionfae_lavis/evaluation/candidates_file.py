"""Candidate lists of the sub-test in a file, so that other systems, or other versions of one, answer the same lists.

JSON, in names that do not depend on us: a product is its id in the data set, an image its row in the data set's file.

    {"images": 32528, "products": 7519, "negatives": 100,
     "draws": [{"image_to_text": [{"image": 17, "products": [<the right one>, <a negative>, ...]}, ...],
                "text_to_image": [{"product": 2109, "images": [<a right one>, <a negative>, ...]}, ...]}, ...]}

A list is shorter where a subcategory has too few negatives.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
from lavis.common.dist_utils import is_main_process

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import replacing
from fashionfae_lavis.metrics.candidates import NO_CANDIDATE, Candidates, Draw, draw_lists

# Names in the file of the directions, in the order of Draw: their query, and what it ranks.
DIRECTIONS = {"image_to_text": ("image", "products"), "text_to_image": ("product", "images")}


def candidate_lists(dataset, path: str | Path | None = None) -> list[Draw]:
    """The lists of the sub-test: read from `path` if it exists, else drawn, and written there if it is given.

    Args:
        dataset: evaluation data set with `product_ids` (P,), `subcategory` (P,) and `row_product` (N,).
        path: `run.candidates`.

    Raises:
        UserError: the file is damaged, is of another data set, or cannot be written.
    """
    if path and Path(path).exists():
        return read_lists(dataset, path)
    products, subcategory = np.arange(len(dataset.product_ids)), dataset.subcategory
    draws = draw_lists(dataset.row_product, products, subcategory[dataset.row_product], subcategory)
    if path and is_main_process():
        write_lists(dataset, draws, path)
    return draws


def lists_digest(draws: list[Draw]) -> str:
    """Twelve hexadecimal digits that are equal for equal lists: whether two evaluations answered the same ones."""
    digest = hashlib.sha256()
    for draw in draws:
        for lists in draw:
            for rows in (lists.query, lists.candidate):
                digest.update(str(rows.shape).encode() + np.ascontiguousarray(rows, dtype="<i8").tobytes())
    return digest.hexdigest()[:12]


def write_lists(dataset, draws: list[Draw], path: str | Path) -> None:
    """Write the lists, whole or not at all; UserError where they cannot be."""
    names = _names(dataset)
    content = {
        "images": len(dataset.row_product),
        "products": len(dataset.product_ids),
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


def read_lists(dataset, path: str | Path) -> list[Draw]:
    """Read lists, and check that each of them is one of this data set.

    Raises:
        UserError: the file is damaged, or the first query that does not fit: its positive must be of its own product,
            its negatives of other products in the same subcategory.
    """
    try:
        content = json.loads(Path(path).read_text())
        sizes = content["images"], content["products"]
        found = [
            {
                direction: [(int(line[query]), [int(name) for name in line[listed]]) for line in draw[direction]]
                for direction, (query, listed) in DIRECTIONS.items()
            }
            for draw in content["draws"]
        ]
        width = 1 + int(content["negatives"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"run.candidates: {path} holds no candidate lists: name another file, or a new one to have them drawn."
        ) from error
    if sizes != (len(dataset.row_product), len(dataset.product_ids)):
        raise _unfit(path, f"it is of {sizes[0]} images of {sizes[1]} products")
    return [
        Draw(*(_rows(dataset, path, width, direction, draw[direction]) for direction in DIRECTIONS)) for draw in found
    ]


def _rows(dataset, path, width: int, direction: str, lines: list[tuple[int, list[int]]]) -> Candidates:
    """Named lists -> rows of the data set."""
    query_kind, listed_kind = DIRECTIONS[direction]
    row_of = {kind: {name: row for row, name in enumerate(names)} for kind, names in _names(dataset).items()}
    product_of = {"image": dataset.row_product, "product": np.arange(len(dataset.product_ids))}
    product_of["images"], product_of["products"] = product_of["image"], product_of["product"]
    candidate = np.full((len(lines), width), NO_CANDIDATE, dtype=np.int64)
    queries = np.empty(len(lines), dtype=np.int64)
    for place, (query, listed) in enumerate(lines):
        where = f"{direction}, {query_kind} {query}"
        if query not in row_of[query_kind] or not set(listed) <= row_of[listed_kind].keys():
            raise _unfit(path, f"{where}: an id is unknown")
        if not 1 <= len(listed) <= width or len(set(listed)) < len(listed):
            raise _unfit(path, f"{where}: the list is empty, too long, or has an entry twice")
        queries[place] = row_of[query_kind][query]
        candidate[place, : len(listed)] = [row_of[listed_kind][name] for name in listed]
        own = product_of[query_kind][queries[place]]
        others = product_of[listed_kind][candidate[place, : len(listed)]]
        if others[0] != own or (others[1:] == own).any():
            raise _unfit(path, f"{where}: only the first of the list may be of its product")
        if (dataset.subcategory[others] != dataset.subcategory[own]).any():
            raise _unfit(path, f"{where}: a negative is of another subcategory")
    return Candidates(queries, candidate)


def _names(dataset) -> dict[str, list[int]]:
    """Row -> name in the file, of images and of products."""
    images, products = list(range(len(dataset.row_product))), dataset.product_ids.tolist()
    return {"image": images, "images": images, "product": products, "products": products}


def _unfit(path, reason: str) -> UserError:
    return UserError(
        f"run.candidates: {path} does not fit this data set ({reason}): name another file, or a new one to have lists "
        "drawn."
    )
