"""Writes a catalogue's index, and the list of products that share a photograph."""

import csv
import json
import os
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from fashionfae_lavis.datasets.datasets.catalogue_file import SPLITS
from fashionfae_lavis.prepare.duplicates import Groups
from fashionfae_lavis.prepare.source import Product
from fashionfae_lavis.prepare.texts import spreadsheet_cell


def part_line(product: Product, images: list[str]) -> str:
    """Returns a line of the temporary file that becomes the index: the product's split ("" if unknown), and JSON.

    Args:
        product: the product.
        images: its usable images.
    """
    content = {
        "row": product.row,
        "id": product.id,
        "images": images,
        "title": product.title,
        "description": product.description,
        "fields": product.fields,
    }
    return f"{product.split}\t{json.dumps(content, ensure_ascii=False)}\n"


def read_parts(part: Path) -> Iterator[tuple[str, str]]:
    """Yields the split of each line of `part`, "" if it is to be drawn, and its product as JSON."""
    with open(part, encoding="utf-8") as lines:
        for line in lines:
            split, product = line.split("\t", 1)
            yield split, product


def without_fields(part: Path, names: Collection[str]) -> Iterator[dict[str, Any]]:
    """Removes some attributes from `part`; yields each product meanwhile."""
    shorter = part.with_name(f"{part.stem}.shorter.tmp")
    try:
        with open(shorter, "w", encoding="utf-8") as lines:
            for split, product in read_parts(part):
                content = json.loads(product)
                content["fields"] = {name: value for name, value in content["fields"].items() if name not in names}
                lines.write(f"{split}\t{json.dumps(content, ensure_ascii=False)}\n")
                yield content
        os.replace(shorter, part)
    finally:
        shorter.unlink(missing_ok=True)


def counted(splits: list[str]) -> dict[str, int]:
    """Returns the number of products in each split that has any."""
    products = Counter(splits)
    return {split: products[split] for split in SPLITS if products[split]}


def write_index(index: Path, part: Path, head: dict, splits: list[str]) -> None:
    """Writes the index from `part`."""
    with open(index, "w", encoding="utf-8") as file:
        file.write(json.dumps({**head, "products": counted(splits)}, ensure_ascii=False) + "\n")
        for split, (_, product) in zip(splits, read_parts(part), strict=True):
            file.write(f'{{"split": "{split}", {product[1:]}')


def write_duplicates(path: Path, part: Path, splits: list[str], groups: Groups) -> None:
    """Lists the products of each group of two or more."""
    sizes = groups.sizes()
    members: dict[int, list] = {}
    for number, (split, (_, product)) in enumerate(zip(splits, read_parts(part), strict=True)):
        if sizes[number] > 1:
            content = json.loads(product)
            cells = (content["row"], content["id"], split, "|".join(content["images"]))
            members.setdefault(int(groups.labels[number]), []).append(cells)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["group", "row", "id", "split", "images"])
        for group, products in enumerate(members.values(), start=1):
            writer.writerows(map(spreadsheet_cell, (group, *cells)) for cells in products)
