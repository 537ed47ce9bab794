"""What a run reads of a FashionGen file beside its images, as JSON: written once, it opens in a second.

    {"format": 1, "source": {"name", "bytes", "modified"}, "product_ids": [P], "row_product": [N],
     "decode_fallbacks": n, "title": [P], "description": [P],
     "attributes": {<name>: {"values": [sorted], "products": [P, place in values]}, ...}}

The values of an attribute are its vocabulary, those of category and sub category the lists of classes.
"""

import json
from pathlib import Path

import numpy as np

from fashionfae_lavis.files import replacing
from fashionfae_lavis.text.product_text import FREE_TEXT, attribute_names

FORMAT = 1


def source_of(path: Path) -> dict:
    """What tells a file from another of the same name."""
    about = path.stat()
    return {"name": path.name, "bytes": about.st_size, "modified": about.st_mtime_ns}


def pack(file) -> dict:
    """The content of an index of `file` (a FashionGenFile)."""
    attributes = {}
    for name in attribute_names(file.texts):
        values = sorted(set(file.texts[name]))
        place = {value: i for i, value in enumerate(values)}
        attributes[name] = {"values": values, "products": [place[value] for value in file.texts[name]]}
    return {
        "format": FORMAT,
        "source": source_of(file.path),
        "product_ids": file.product_ids.tolist(),
        "row_product": file.row_product.tolist(),
        "decode_fallbacks": file.decode_fallbacks,
        **{name: file.texts[name] for name in FREE_TEXT},
        "attributes": attributes,
    }


def unpack(content: dict, file) -> None:
    """Set on `file` what `pack` took from one; KeyError, IndexError, TypeError or ValueError for other content."""
    if content["format"] != FORMAT:
        raise ValueError(f"it is of format {content['format']}")
    file.product_ids = np.array(content["product_ids"], dtype=np.int64)
    file.row_product = np.array(content["row_product"], dtype=np.int64)
    file.decode_fallbacks = content["decode_fallbacks"]
    file.texts = {name: content[name] for name in FREE_TEXT}
    for name, column in content["attributes"].items():
        file.texts[name] = [column["values"][i] for i in column["products"]]
    if {len(texts) for texts in file.texts.values()} != {len(file.product_ids)}:
        raise ValueError("its columns differ in length")


def write_json(content: dict, path: Path) -> Path:
    """Whole or not at all; UserError where it cannot be written."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False)
        file.write("\n")
    return path
