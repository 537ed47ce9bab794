"""Checks the images of products in worker processes."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.photographs import MISSING
from fashionfae_lavis.prepare.duplicates import fingerprint
from fashionfae_lavis.prepare.images import checked_photograph
from fashionfae_lavis.prepare.listing import meant_file, not_found
from fashionfae_lavis.prepare.source import Product
from fashionfae_lavis.prepare.texts import is_utf8
from fashionfae_lavis.threads import all_cores
from fashionfae_lavis.workers import WorkerDied, in_workers

CHUNK = 32  # rows that a worker checks at a time


class CheckedImage(NamedTuple):
    """An image of a product.

    Attributes:
        name: the path of the file, even if the table names it less exactly.
        problem: why it cannot be used, "" if it can.
        fingerprint: see `duplicates.fingerprint`; None for an image with a problem.
    """

    name: str
    problem: str
    fingerprint: tuple[bytes, bytes] | None = None


def checked_images(
    products: Iterable[Product], folder: Path, source: Path
) -> Iterator[tuple[Product, list[CheckedImage]]]:
    """Yields each product with its images, which worker processes decode.

    Args:
        products: the products.
        folder: the folder that image paths are relative to.
        source: the products' table or folder, for messages.

    Raises:
        UserError: a worker process died.
    """
    waiting: deque[list[Product]] = deque()

    def chunks() -> Iterator[list[list[str]]]:
        unread = iter(products)
        while chunk := list(islice(unread, CHUNK)):
            waiting.append(chunk)
            yield [[] if product.problem else _to_decode(product) for product in chunk]

    try:
        for found in in_workers(partial(_check_chunk, folder=folder), chunks(), all_cores()):
            for product, checked in zip(waiting.popleft(), found, strict=True):
                yield product, _found(product, checked)
    except WorkerDied as error:
        raise UserError(
            f"{source}: a process that checks images died near row {waiting[0][0].row}, perhaps for lack of "
            "memory: free some and run the command again."
        ) from error


def _to_decode(product: Product) -> list[str]:
    """Returns the images without a known problem."""
    return [name for name in product.images if name not in product.image_problems]


def _found(product: Product, decoded: list[CheckedImage]) -> list[CheckedImage]:
    """Returns what was found about each image of a product, none if the product has a problem."""
    if product.problem:
        return []
    found = {name: CheckedImage(name, problem) for name, problem in product.image_problems.items()}
    found |= dict(zip(_to_decode(product), decoded, strict=True))
    return [found[name] for name in product.images]


def _check_chunk(chunk: list[list[str]], folder: Path) -> list[list[CheckedImage]]:
    """Checks each image of each row of a chunk."""
    return [[_checked_image(name, folder) for name in row] for row in chunk]


def find_photograph(name: str, folder: Path) -> tuple[str, str, Image.Image | None]:
    """Reads the photograph that a table names, perhaps less exactly than the file is called.

    Returns:
        The path of the file below the folder; why it cannot be used, or ""; and the photograph if it can.
    """
    if not is_utf8(name):
        return name, "has a name that is not UTF-8", None
    problem, photograph = checked_photograph(name, folder)
    if problem != MISSING:
        return name, problem, photograph
    file = meant_file(name, folder)
    if file is None:
        return name, f"{MISSING}: {not_found(name, folder)}", None
    return file, *checked_photograph(file, folder)


def _checked_image(name: str, folder: Path) -> CheckedImage:
    name, problem, photograph = find_photograph(name, folder)
    if photograph is None:
        return CheckedImage(name, problem)
    try:
        return CheckedImage(name, "", fingerprint(os.path.join(folder, name), photograph))
    except OSError as error:  # deleted since
        return CheckedImage(name, f"cannot be read: {error.strerror}")
