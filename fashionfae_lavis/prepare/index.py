"""Writing of a catalogue's index and of the list of products that share a photograph."""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fashionfae_lavis.datasets.datasets.catalogue_file import SPLITS
from fashionfae_lavis.prepare.duplicates import Groups
from fashionfae_lavis.prepare.source import Product
from fashionfae_lavis.prepare.texts import spreadsheet_cell


def part_line(product: Product, images: list[str]) -> str:
    """Returns a line of the temporary file that becomes the index: the product's split, which may be "", and JSON.

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


def write_index(index: Path, part: Path, head: dict, splits: list[str]) -> dict[str, int]:
    """Writes the index from `part`; returns the number of products in each split."""
    products = Counter(splits)
    counted = {split: products[split] for split in SPLITS if products[split]}
    with open(index, "w", encoding="utf-8") as file:
        file.write(json.dumps({**head, "products": counted}, ensure_ascii=False) + "\n")
        for split, (_, product) in zip(splits, read_parts(part), strict=True):
            file.write(f'{{"split": "{split}", {product[1:]}')
    return counted


def write_duplicates(path: Path, part: Path, splits: list[str], groups: Groups) -> None:
    """Lists the products of each group that has several, by group."""
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
