"""What the API and the page share: search, facets, attributes of photographs and heat maps over one index."""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from PIL import Image

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.index import Hit
from fashionfae_lavis.search.labels import Label
from fashionfae_lavis.search.query import Found, Query, Searcher
from fashionfae_lavis.search.server.attributes import AttributeReader
from fashionfae_lavis.search.server.batching import BatchingEncoder
from fashionfae_lavis.search.server.heat_map import draw_heat_map, relevance
from fashionfae_lavis.search.where import Where
from fashionfae_lavis.suggestions import hint

PROSE = ("title", "description", "text", "name", "url", "image", "split")  # columns that are never facets
MOST_VALUES = 200  # of a column whose values can be chosen
FRESH, RECENT = 30, 500  # seconds that counts are kept, and filters that they are kept for
THUMBNAILS = 5_000  # kept in memory, about 10 KB each

Facets = dict[str, dict[str, int]]


class Service:
    """A searcher for many threads.

    Args:
        searcher: the model and the index.
        on_batch: called after every forward pass, with the number of calls that shared it.
    """

    def __init__(self, searcher: Searcher, on_batch: Callable[[int], None] = lambda calls: None):
        self.encoder = BatchingEncoder(searcher.encoder, on_batch)
        self.index = searcher.index
        self.searcher = replace(searcher, encoder=self.encoder)
        self._thumbnails: OrderedDict[str, bytes] = OrderedDict()
        self._keeping, self._counting = threading.Lock(), threading.Lock()
        self._recent: dict[Where | None, tuple[float, Facets]] = {}

    def warm_up(self) -> None:
        """Does what the first request would wait for."""
        self.encoder.embed_images([Image.new("RGB", (64, 64), "white")])
        self.encoder.embed_texts(["white"])
        self.attributes.start()

    def close(self) -> None:
        """Ends the threads of the labeller and the model."""
        self.attributes.close()
        self.encoder.close()

    @cached_property
    def facet_columns(self) -> list[str]:
        """Columns whose values can be chosen."""
        return list(self._counts)

    @cached_property
    def _counts(self) -> Facets:
        columns = [name for name, kind in self.index.info.columns.items() if kind == "text" and name not in PROSE]
        counts = self.index.facets(columns) if columns else {}
        return {name: values for name, values in counts.items() if 2 <= len(values) <= MOST_VALUES}

    @cached_property
    def attributes(self) -> AttributeReader:
        """Reads the values of facets off photographs."""
        return AttributeReader(self.encoder, self.index, self._counts)

    @cached_property
    def _title_column(self) -> str:
        named = [name for name in self.index.info.columns if {"title", "name"} & set(name.split())]
        return "title" if "title" in named or not named else named[0]

    def title(self, hit: Hit) -> str:
        """Returns what a product is called: its title, or else its id."""
        return str(hit.fields.get(self._title_column) or hit.id)

    def search(self, query: Query) -> list[Found]:
        """Answers a query, and keeps the thumbnails of the answer, for which a browser asks next."""
        found = self.searcher.search(query)
        for each in found:
            self.version(each.hit)
        return found

    def browse(self, where: Where | None, offset: int, count: int) -> list[Hit]:
        """Returns products in the order of the index."""
        hits = self.index.browse(where, offset, count)
        for hit in hits:
            self.version(hit)
        return hits

    def product(self, identifier: str) -> Hit | None:
        """Returns a product, None if the index has none with this id."""
        hits = self.index.fetch([identifier])
        return hits[0] if hits else None

    def facets(self, columns: Sequence[str], where: Where | None) -> Facets:
        """Counts the products that meet a condition, by the values of columns."""
        unknown = next((name for name in columns if name not in self.facet_columns), None)
        if unknown is not None:
            raise UserError(f"No facet {unknown!r}; {hint(unknown, self.facet_columns)}")
        counts = self._recent_counts(where)
        return {name: counts[name] for name in columns}

    def _recent_counts(self, where: Where | None) -> Facets:
        """Counts products by all facets; reuses counts that are less than `FRESH` seconds old."""
        with self._counting:  # concurrent requests wait for one count instead of counting again
            seconds, counts = self._recent.get(where, (-FRESH, {}))
            if time.monotonic() - seconds >= FRESH:
                counts = self.index.facets(self.facet_columns, where) if self.facet_columns else {}
                self._recent[where] = time.monotonic(), counts
                if len(self._recent) > RECENT:
                    self._recent.pop(next(iter(self._recent)))
            return counts

    def facets_beside(self, choices: Mapping[str, Sequence[str]], others: Where | None) -> Facets:
        """Counts products by every facet. Values chosen in a column do not limit the counts of that column itself."""
        columns = self.index.info.columns
        counts = dict(self._recent_counts(both(Where.choose(choices, columns), others)))
        for name in (name for name in self.facet_columns if choices.get(name)):
            rest = {column: values for column, values in choices.items() if column != name}
            counts[name] = self._recent_counts(both(Where.choose(rest, columns), others))[name]
        return counts

    def attributes_so_far(self, image: Image.Image) -> dict[str, Label]:
        """Reads all attributes off a photograph; none while they cannot be read."""
        return self.attributes.read(image) if self.attributes.state == "ready" else {}

    @property
    def explains(self) -> bool:
        """Whether the model can draw heat maps."""
        return self.encoder.adapter.locates

    def heat_map(self, image: Image.Image, text: str) -> bytes:
        """Draws where a photograph matches a text, as a transparent PNG of its size."""
        return draw_heat_map(self.encoder.run(relevance, image, text))

    def version(self, hit: Hit) -> str:
        """Returns the version of a product's thumbnail, and keeps the thumbnail in memory."""
        version = hashlib.sha256(hit.thumbnail).hexdigest()[:16]
        with self._keeping:
            self._thumbnails[version] = hit.thumbnail
            self._thumbnails.move_to_end(version)
            if len(self._thumbnails) > THUMBNAILS:
                self._thumbnails.popitem(last=False)
        return version

    def kept_thumbnail(self, version: str) -> bytes | None:
        """Returns a thumbnail that is in memory."""
        return self._thumbnails.get(version)


def both(first: Where | None, second: Where | None) -> Where | None:
    """Returns the condition that both are met."""
    return first & second if first else second
