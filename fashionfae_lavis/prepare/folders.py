"""Reads photographs in folders, without a table: each is a product, and its folder's name is its category."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.listing import ENDINGS
from fashionfae_lavis.prepare.source import Product, ProductSource
from fashionfae_lavis.prepare.splits import SPLIT_NAMES

ATTRIBUTE = "category"
# Words of file names that cameras, phones and programs give.
_MEANINGLESS = frozenset(
    {"copy", "download", "dsc", "dscf", "dscn", "final", "frame", "from", "image", "images", "img", "item", "large"}
    | {
        "medium",
        "output",
        "photo",
        "photos",
        "pic",
        "picture",
        "product",
        "products",
        "pxl",
        "result",
        "sample",
        "scan",
    }
    | {"screenshot", "shot", "small", "thumb", "thumbnail", "unnamed", "untitled", "whatsapp"}
)
_WORD = re.compile(r"[^\W\d_]{3,}")
_NEEDED_WORDS = 2


class FolderProducts(ProductSource):
    """The photographs below a folder.

    The first folder is a split if all first folders are named like one, so both `train/dress/1.jpg` and `dress/1.jpg`
    are of the category `dress`. Photographs in no folder have no attributes. Hidden files are left out.

    Args:
        folder: the folder.
        option: the argument that names it, for messages.

    Raises:
        UserError: there is no photograph, or only some of the folders are named like splits.
    """

    def __init__(self, folder: Path, option: str = "--images"):
        where = f"{option} {folder}"
        self._photographs = sorted(_photographs(folder, ""))
        if not self._photographs:
            raise UserError(f"{where} has no photographs ({', '.join(ENDINGS)}): name the folder that they are in.")
        first = {path.split("/")[0] for path in self._photographs if "/" in path}
        splits = {name for name in first if name.lower() in SPLIT_NAMES}
        if splits and splits != first:
            raise UserError(
                f"{where} has folders named like splits ({', '.join(sorted(splits))}) and others "
                f"({', '.join(sorted(first - splits)[:5])}): move the others out, or rename the splits."
            )
        alone = any("/" not in path for path in self._photographs)
        if splits and alone:
            raise UserError(
                f"{where} has folders named like splits ({', '.join(sorted(splits))}) and photographs in "
                "none of them: move these into the folder of their split."
            )
        self._depth = 1 if splits else 0  # of the category
        has_classes = any(path.count("/") > self._depth for path in self._photographs)
        super().__init__(folder, [ATTRIBUTE] if has_classes else [], names_splits=bool(splits))

    def count(self) -> int:
        return len(self._photographs)

    def __iter__(self) -> Iterator[Product]:
        for number, path in enumerate(self._photographs, start=1):
            *folders, name = path.split("/")
            product = Product(number, id=path, title=title_of(name), images=[path])
            if self.names_splits:
                product.split = SPLIT_NAMES[folders[0].lower()]
            if len(folders) > self._depth:
                product.fields[ATTRIBUTE] = folders[self._depth].replace("_", " ").strip()
            yield product


def _photographs(folder: Path, below: str) -> Iterator[str]:
    """Yields the paths of the photographs below a folder."""
    try:
        entries = list(os.scandir(folder / below))
    except OSError as error:
        raise UserError(
            f"The folder {folder / below} cannot be read ({error.strerror}): check its permissions."
        ) from error
    for entry in entries:
        path = f"{below}/{entry.name}" if below else entry.name
        if entry.name.startswith((".", "__MACOSX")):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _photographs(folder, path)
        elif entry.name.lower().endswith(ENDINGS):
            yield path


def title_of(name: str) -> str:
    """Returns the words of a photograph's file name, "" if it has none that describe a product.

    >>> [title_of(name) for name in ("red-wool-coat_02.jpg", "IMG_2041.jpg", "009b3c31-fb62-45c0.jpg")]
    ['red wool coat', '', '']
    """
    stem = name.rpartition(".")[0]
    words = [word for word in re.split(r"[\W_]+", stem) if _WORD.fullmatch(word) and word.lower() not in _MEANINGLESS]
    described = 2 * sum(map(len, words)) > len(stem)  # not the letters of a random name
    return " ".join(words) if len(words) >= _NEEDED_WORDS and described else ""
