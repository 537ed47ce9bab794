"""Attributes read off photographs, by a labeller that the server fits to products of its index.

Fitting takes a thread of its own. It asks the thread of the model for a few photographs at a time, so that searches run
in between. The photographs are the thumbnails of the index.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.index import Hit, Index
from fashionfae_lavis.search.labels import FEWEST, Label, Labeller
from fashionfae_lavis.search.query import picture
from fashionfae_lavis.search.server.batching import BatchingEncoder
from fashionfae_lavis.search.value_scores import Fields, Seen, ValueScorer, value_words
from fashionfae_lavis.search.where import Where
from fashionfae_lavis.suggestions import hint

CALIBRATING, PARTS = 500, 5  # products that calibrate, from parts of the index
BATCH = 4  # photographs that a search may have to wait for
SPLIT, HELD_OUT, ENOUGH = "split", ("val", "test"), 200  # products that no training has seen, if there are enough

State = Literal["fitting", "ready", "none", "failed"]
Counts = Mapping[str, Mapping[str, int]]


class Fitting(Exception):
    """Raised while attributes cannot be read yet.

    Attributes:
        seconds: when to ask again.
    """

    seconds = 5

    def __init__(self) -> None:
        super().__init__("The server still learns how sure it can be of attributes: try again in a moment.")


class _Stopped(Exception):
    """Ends fitting."""


class AttributeReader:
    """Reads the attributes of an index off photographs, once its labeller is fitted.

    Args:
        encoder: the model, shared by threads.
        index: the products. Up to `CALIBRATING` of them calibrate the labeller.
        counts: attribute -> value -> number of products; the values to choose from.
    """

    def __init__(self, encoder: BatchingEncoder, index: Index, counts: Counts):
        self._encoder, self._index, self._counts = encoder, index, counts
        self._labeller: Future[Labeller] = Future()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._fit, name="labeller", daemon=True)

    def start(self) -> None:
        """Begins to fit the labeller."""
        self._thread.start()

    @property
    def state(self) -> State:
        """Whether attributes can be read: `none` if the index has no attribute with enough known values."""
        if not self._labeller.done():
            return "fitting"
        if self._labeller.exception():
            return "failed"
        return "ready" if self._labeller.result().attributes else "none"

    def read(self, image: Image.Image, names: Sequence[str] = ()) -> dict[str, Label]:
        """Reads attributes off a photograph, all by default.

        Raises:
            Fitting: the labeller is not fitted yet.
            UserError: an attribute cannot be read.
        """
        if not self._labeller.done():
            raise Fitting
        labeller = self._labeller.result()
        unknown = next((name for name in names if name not in labeller.attributes), None)
        if unknown is not None:
            known = labeller.attributes
            told = hint(unknown, known) if known else f"the index has none with {FEWEST} or more known values."
            raise UserError(f"No attribute {unknown!r}; {told}")
        return labeller.label([image], names=names or None)[0] if labeller.attributes else {}

    def close(self) -> None:
        """Ends fitting."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _fit(self) -> None:
        scorer = _SharedScorer(self._encoder.encoder, text=False, shared=self._encoder, stopping=self._stopping)
        try:
            products = IndexedProducts(self._index, calibrating_products(self._index), list(self._counts))
            names = [name for name in self._counts if products.calibrate(name)]
            self._labeller.set_result(Labeller.fit(scorer, products, names, self._counts, BATCH))
        except _Stopped as error:
            self._labeller.set_exception(error)
        except Exception as error:
            logging.exception("Attributes cannot be read off photographs.")
            self._labeller.set_exception(error)


class IndexedProducts:
    """Products of an index with their thumbnails as photographs: a `ProductFile`.

    Args:
        index: the index.
        hits: the products; those without a thumbnail are left out.
        names: their attributes.
    """

    def __init__(self, index: Index, hits: Sequence[Hit], names: Sequence[str]):
        self.path = Path(index.info.location)
        self._hits = [hit for hit in hits if hit.thumbnail]
        self.product_ids: NDArray[np.int64] = np.arange(len(self._hits))
        self.row_product = self.product_ids
        self.texts = {name: [str(hit.fields.get(name) or "") for hit in self._hits] for name in names}

    def image(self, row: int) -> Image.Image:
        """Returns the photograph in this row, RGB."""
        image = picture(self._hits[row])
        assert image is not None
        return image

    def calibrate(self, name: str) -> bool:
        """Returns whether enough products have a value of an attribute, and not all the same one."""
        words = [value_words(name, value) for value in self.texts[name]]
        known = [value for value in words if value]
        return len(known) >= FEWEST and len(set(known)) > 1


def calibrating_products(index: Index) -> list[Hit]:
    """Returns up to 500 products, spread over the index; held-out ones if its column `split` names enough of them."""
    info = index.info
    where, count = None, info.rows
    if info.columns.get(SPLIT) == "text":
        splits = {name: number for name, number in index.facets([SPLIT])[SPLIT].items() if name in HELD_OUT}
        if sum(splits.values()) >= ENOUGH:
            where, count = Where.choose({SPLIT: list(splits)}, info.columns), sum(splits.values())
    part = CALIBRATING // PARTS
    starts = range(0, count, max(part, -(-count // PARTS)))
    return [hit for start in starts for hit in index.browse(where, start, part)]


@dataclass(frozen=True, eq=False)
class _SharedScorer(ValueScorer):
    """Scores values in the thread of a shared model.

    Attributes:
        shared: the model.
        stopping: is set to end fitting.
    """

    shared: BatchingEncoder = field(kw_only=True)
    stopping: threading.Event = field(kw_only=True)

    def see(self, images: Sequence[Image.Image], fields: Sequence[Fields]) -> Seen:
        if self.stopping.is_set():
            raise _Stopped
        return self.shared.run(lambda encoder: ValueScorer.see(self, images, fields))

    def scores(self, seen: Seen, way: str, name: str, values: Sequence[str]) -> NDArray[np.float64]:
        return self.shared.run(lambda encoder: ValueScorer.scores(self, seen, way, name, values))
