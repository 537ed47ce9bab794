"""Images in a folder of WebDataset tar files, which an index of their positions finds.

Any WebDataset reader can stream the tar files. `ShardedImages` reads only the bytes of one image.
"""

import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import open_regular
from fashionfae_lavis.photographs import ENOUGH, UnusableImage, decode_photograph, is_inside

INDEX = "index.json"
MOST_BYTES = 2**28  # of an image in a shard


def shard_name(number: int) -> str:
    """Returns the file name of a shard."""
    return f"{number:06}.tar"


class ShardedImages:
    """Images in the shards of a folder.

    Args:
        folder: the folder.
        locations: (N, 3) int64, the shard, offset and size in bytes of each image.
        mend: advice for a damaged folder, for messages.
        enough: pixels of the shorter side that the reader of the images needs.

    Raises:
        UserError: a shard is missing or a link out of the folder, or a location is not in its shard.
    """

    def __init__(self, folder: Path, locations: NDArray[np.int64], mend: str, enough: int = ENOUGH):
        self.folder = folder
        self._enough = enough
        self._locations = locations
        self._mend = mend
        shards, offsets, sizes = locations.T
        for shard in np.unique(shards).tolist():
            path = folder / shard_name(shard)
            check_inside(path, mend)
            try:
                with open_regular(path) as file:
                    end = os.fstat(file.fileno()).st_size
            except OSError as error:
                raise unfinished(path, error.strerror, self._mend) from error
            rows = shards == shard
            if (offsets[rows] < 0).any() or (offsets[rows] > end - sizes[rows]).any():
                raise unfinished(path, f"{INDEX} refers to more than its {end} bytes", mend)
        if (sizes <= 0).any() or (sizes > MOST_BYTES).any():
            raise unfinished(folder / INDEX, f"an image has none or more than {MOST_BYTES} bytes", mend)

    def image(self, row: int) -> Image.Image:
        """Reads an image, RGB; raises UserError if it is damaged."""
        shard, offset, size = self._locations[row].tolist()
        path = self.folder / shard_name(shard)
        try:
            with open_regular(path) as file:
                file.seek(offset)
                return decode_photograph(io.BytesIO(file.read(size)), self._enough)
        except OSError as error:
            raise unfinished(path, error.strerror, self._mend) from error
        except UnusableImage as error:
            raise unfinished(path, f"the image of row {row} {error}", self._mend) from error


def check_inside(path: Path, mend: str) -> None:
    """Raises UserError if a file of a folder of shards is a link to a file elsewhere."""
    if not is_inside(path, path.parent):
        raise unfinished(path, "it is a link out of its folder", mend)


def unfinished(path: Path, reason: object, mend: str) -> UserError:
    """Returns the error of a damaged file in a folder of shards."""
    return UserError(f"{path} is damaged or unfinished ({reason}): {mend}.")
