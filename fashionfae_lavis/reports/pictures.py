"""Pictures as PNG files, which are optional: one that cannot be drawn never costs a run its results."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fashionfae_lavis.files import replacing


@contextmanager
def optional_picture(what: str) -> Iterator[None]:
    """Turns any failure in the block into one line of warning, such as a full disk or a photograph that has gone."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        logging.warning("%s could not be drawn, which changes no result: %s", what, reason)


def pyplot() -> Any:
    """Returns matplotlib's pyplot, which then needs no display and shows a `$` in a title as it is."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["text.parse_math"] = False
    import matplotlib.pyplot as plt

    return plt


def save_picture(figure: Any, path: Path, **options: Any) -> None:
    """Saves a figure as PNG atomically, with the options of `savefig`, and closes it.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        # The fonts lack letters of some languages. Boxes take their places.
        with warnings.catch_warnings(), replacing(path) as temporary:
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            figure.savefig(temporary, format="png", **options)
    finally:
        pyplot().close(figure)
