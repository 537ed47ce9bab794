"""Thumbnails of products, made in worker processes."""

import io
import warnings
from collections.abc import Iterable, Iterator

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.photographs import UnusableImage, load_photograph
from fashionfae_lavis.threads import all_cores
from fashionfae_lavis.workers import WorkerDied, in_workers

SIDE = 224  # pixels of the longer side
QUALITY = 85


def thumbnail(path: str) -> tuple[bytes, str]:
    """Returns an image file as a small upright JPEG, and "" or the reason why there is none.

    Args:
        path: the image; "" for none, which is no problem.
    """
    if not path:
        return b"", ""
    try:
        image = load_photograph(path)
    except UnusableImage as error:
        return b"", f"{path} {error}"
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return file.getvalue(), ""


def thumbnails(chunks: Iterable[list[str]], processes: int | None = None) -> Iterator[list[tuple[bytes, str]]]:
    """Yields the thumbnails and problems of each chunk of image paths.

    Args:
        chunks: lists of paths.
        processes: number of worker processes (default: one per processor).

    Raises:
        UserError: a worker process died.
    """
    with warnings.catch_warnings():
        # LanceDB warns about forks. The workers do not use it.
        warnings.filterwarnings("ignore", "lancedb fork support")
        results = in_workers(_thumbnails, chunks, processes or all_cores())
        try:
            yield from results
        except WorkerDied as error:
            raise UserError(
                "A process that makes thumbnails died, perhaps for lack of memory: free some and run the command again."
            ) from error


def _thumbnails(paths: list[str]) -> list[tuple[bytes, str]]:
    return [thumbnail(path) for path in paths]
