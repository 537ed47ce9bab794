"""Reading of a table in one JSON document, such as Shopify's products.json."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.cells import Row

LARGEST = 64_000_000  # characters; the document is in memory, where it takes about ten times as much


def json_rows(path: Path, file: TextIO) -> Iterator[Row]:
    """Yields the objects of a list, numbered from 1.

    The document is a list of objects, or an object in which exactly one key has a list of objects.

    Args:
        path: the file, for messages.
        file: the open file.

    Raises:
        UserError: the file is too large, is not JSON, or has no such list.
    """
    for number, cells in enumerate(_products(path, _document(path, file)), start=1):
        yield Row(number, cells) if isinstance(cells, dict) else Row(number, {}, "is not a JSON object")


def _document(path: Path, file: TextIO) -> Any:
    content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise UserError(
            f"{path} is longer than {LARGEST // 1_000_000} million characters: write one object per line as "
            ".jsonl, for example with `jq -c '.[]'`."
        )
    try:
        return json.loads(content.removeprefix("\ufeff"))
    except RecursionError as error:
        raise UserError(f"{path} is nested too deeply: write a list of objects, one per product.") from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}): write a list of objects, or one per line as .jsonl.") from error


def _products(path: Path, document: Any) -> list[Any]:
    lists = {"": document} if _is_table(document) else {}
    if isinstance(document, dict):
        lists = {key: value for key, value in document.items() if _is_table(value)}
    if len(lists) != 1:
        found = f"several lists of objects ({', '.join(lists)[:100]})" if lists else "no list of objects"
        raise UserError(f"{path} has {found}: use a list of objects, one per product.")
    return next(iter(lists.values()))


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(entry, dict) for entry in value)
