"""Searches an index by words, a photograph, a product of the index, or words together with either.

    words               q = normalise(t - b x)                     t, i, x: unit-length embeddings of the words,
    photograph          q = normalise((1 - w) i - w b x)           the photograph, and what is excluded;
    photograph, words   q = normalise((1 - w) i + w (t - b x))     x is left out if nothing is

w is TEXT_WEIGHT, or COMPOSED_TEXT_WEIGHT for a model that was trained for queries of a photograph and words. With
`Searcher.head`, the composition head of such a model embeds both as c, and q = normalise(c - b x). The head adds the
parts at their own lengths, and so counts the photograph more than the weighted sum does.

Products rank by the cosine of their vector and q; equal scores rank by id. The order does not depend on the page that
is asked for, so pages neither overlap nor leave products out.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import chain, islice, takewhile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.encoder import Encoder
from fashionfae_lavis.search.index import Hit, Index, open_index
from fashionfae_lavis.search.where import Where

# Chosen by benchmarks/search_quality.py --tune; docs/search.md has the figures.
TEXT_WEIGHT = 0.75
COMPOSED_TEXT_WEIGHT = 0.6
WITHOUT_WEIGHT = 0.5
NEAR_DUPLICATE = 0.99
SHOWN = 50  # letters of a text in a message
DIGITS = 6  # decimals of a cosine that count; the others are rounding errors of float32
MOST = 1_000_000  # count, offset or rerank
MATCH_DIGITS = 4  # the same for scores of image-text matching


@dataclass(frozen=True, eq=False)
class Query:
    """What to look for: at least one of `text`, `image` and `like`, and conditions.

    Attributes:
        text: words, such as "navy linen dress"; with a photograph or a product, how the wanted ones differ from it.
        image: a photograph, RGB.
        like: id of a product in the index, whose vector is the query; the product itself is not found.
        where: products that do not meet this condition are left out before the ranking.
        without: words for what the products should not show, such as "print".
        count: number of products on a page.
        offset: number of products on the pages before.
        rerank: number of first products that are ordered by image-text matching, for queries of words only.
        least_score: the lowest cosine that counts as found; None for any.
        fold: show near-duplicates as one product.
    """

    text: str | None = None
    image: Image.Image | None = None
    like: str | None = None
    where: Where | None = None
    without: str | None = None
    count: int = 10
    offset: int = 0
    rerank: int = 0
    least_score: float | None = None
    fold: bool = True

    @property
    def words(self) -> str:
        """The text without surrounding spaces, "" if there is none."""
        return (self.text or "").strip()


@dataclass(frozen=True, eq=False)
class Found:
    """A product that was found.

    Attributes:
        hit: the product; its score is the cosine.
        also: ids of the near-duplicates that rank below it, best first.
        match: the probability that image and text match, if the product was re-ranked.
    """

    hit: Hit
    also: tuple[str, ...] = ()
    match: float | None = None


@dataclass(frozen=True, eq=False)
class Searcher:
    """Searches an index with the model that made its vectors.

    Attributes:
        encoder: the model.
        index: the index.
        text_weight: w, from 0 (photograph alone) to 1 (words alone); None for the default of the model's kind.
        without_weight: b, 0 for no effect.
        near_duplicate: least cosine of near-duplicates.
        head: whether the model's composition head, if it has one, joins photograph and words.
    """

    encoder: Encoder
    index: Index
    text_weight: float | None = None
    without_weight: float = WITHOUT_WEIGHT
    near_duplicate: float = NEAR_DUPLICATE
    head: bool = False

    @classmethod
    def open(cls, location: str, model: str | None = None, device: str = "auto") -> "Searcher":
        """Opens an index and the model of its vectors.

        Args:
            location: folder or URL of the index.
            model: what `Encoder.open` takes; None for the model that the index names.
            device: auto, cpu or cuda.

        Raises:
            UserError: the index or the model cannot be opened, or the vectors are of another model.
        """
        info = open_index(location).info
        try:
            encoder = Encoder.open(model or info.model, device)
        except UserError as error:
            if model:
                raise
            raise UserError(
                f"The model that {info.location} names cannot be opened ({str(error).rstrip('.?')}): put it back, or "
                "name its new place with --model."
            ) from error
        return cls(encoder, open_index(location, encoder.digest))

    def search(self, query: Query) -> list[Found]:
        """Returns the products of a page, best first.

        Raises:
            UserError: the query is empty or contradicts itself, the index lacks the product, or the model cannot answer
                such a query.
        """
        found = self._reranked(query, self._candidates(query, self.embed(query)))
        last = query.offset + query.count
        page = _folded(found, last, self.near_duplicate) if query.fold else list(islice(found, last))
        return page[query.offset :]

    def product(self, identifier: str) -> Hit:
        """Returns the product with this id; raises UserError if the index lacks it."""
        found = self.index.fetch([identifier])
        if not found:
            raise UserError(f"{self.index.info.location} has no product with the id {identifier!r}: use another id.")
        return found[0]

    def embed(self, query: Query) -> NDArray[np.float32]:
        """Embeds a query at unit length, (D,); raises UserError as `search` does."""
        _check(query, self.encoder)
        pictured = query.image is not None or query.like is not None
        if self.head and self.encoder.composes and pictured and query.words:
            composed = self.encoder.compose([self._photograph(query)], [query.words])[0]
            return _unit(composed - self._excluded(query))
        text = self._embedded(query.words) - self._excluded(query)
        if pictured:
            weight = self._text_weight
            text = weight * text + (1 - weight) * self._shown(query)
        return _unit(text)

    @property
    def _text_weight(self) -> float:
        if self.text_weight is not None:
            return self.text_weight
        return COMPOSED_TEXT_WEIGHT if self.encoder.composes else TEXT_WEIGHT

    def _excluded(self, query: Query) -> NDArray[np.float32]:
        return self.without_weight * self._embedded((query.without or "").strip())

    def _embedded(self, words: str) -> NDArray[np.float32]:
        """Embeds words, "" as zeros (D,)."""
        return self.encoder.embed_texts([words])[0] if words else np.zeros(self.encoder.dim, np.float32)

    def _shown(self, query: Query) -> NDArray[np.float32]:
        """Returns the vector of the query's photograph or product."""
        if query.like is None:
            return self.encoder.embed_images([self._photograph(query)])[0]
        return _vector(self.product(query.like))

    def _photograph(self, query: Query) -> Image.Image:
        image = query.image if query.like is None else picture(self.product(query.like))
        if image is None:
            raise UserError(f"The product {query.like!r} has no picture: use another product.")
        return image

    def _candidates(self, query: Query, vector: NDArray[np.float32]) -> Iterator[Hit]:
        """Yields the products by falling score, equal ones by id, down to the least score."""
        least = query.least_score
        ranking = self._ranking(query, vector)
        return ranking if least is None else takewhile(lambda hit: hit.score >= least, ranking)

    def _ranking(self, query: Query, vector: NDArray[np.float32]) -> Iterator[Hit]:
        exclude = () if query.like is None else (query.like,)
        # Two more hits than needed: one shows whether equal scores follow, the other that a folded page is full.
        depth, given = max(query.offset + query.count, query.rerank) + 2, set[str]()
        while True:
            hits = sorted(self.index.nearest(vector, depth, query.where, exclude), key=_order)
            complete = len(hits) < depth
            # Products with the score of the last hit may be missing, and may rank before it by their ids.
            certain = hits if complete else [hit for hit in hits if _score(hit) > _score(hits[-1])]
            yield from (hit for hit in certain if hit.id not in given)
            if complete:
                return
            given.update(hit.id for hit in certain)
            depth *= 2

    def _reranked(self, query: Query, hits: Iterator[Hit]) -> Iterator[Found]:
        """Orders the first products by image-text matching; the remaining ones keep their order."""
        first = list(islice(hits, query.rerank))
        pictures = {hit.id: image for hit in first if (image := picture(hit))}
        probabilities: dict[str, float] = {}
        scores: dict[str, float] = {}
        if pictures:
            cosines = [hit.score for hit in first if hit.id in pictures]
            judged = self.encoder.rerank(list(pictures.values()), query.words, cosines)
            probabilities, scores = (dict(zip(pictures, values.tolist(), strict=True)) for values in judged)
        # Stable: equal scores keep their order, and products without a picture follow.
        first.sort(key=lambda hit: -round(scores.get(hit.id, -math.inf), MATCH_DIGITS))
        return (Found(hit, match=probabilities.get(hit.id)) for hit in chain(first, hits))


def picture(hit: Hit) -> Image.Image | None:
    """Returns the thumbnail of a product, RGB; None if it has none."""
    return Image.open(BytesIO(hit.thumbnail)).convert("RGB") if hit.thumbnail else None


def _check(query: Query, encoder: Encoder) -> None:
    """Raises UserError for a query that cannot be answered."""
    if not query.words and query.image is None and query.like is None:
        raise UserError("The query is empty: search by words, a photograph or a product of the index.")
    if query.image is not None and query.like is not None:
        raise UserError("The query has a photograph and a product: leave one of them out.")
    if query.count < 1 or query.offset < 0 or query.rerank < 0:
        raise UserError("count must be 1 or more, offset and rerank 0 or more.")
    if max(query.count, query.offset, query.rerank) > MOST:
        raise UserError(f"count, offset and rerank must be {MOST:,} at most.")
    if query.least_score is not None and math.isnan(query.least_score):
        raise UserError("The least score is not a number: write one such as 0.2.")
    for text in filter(None, (query.words, (query.without or "").strip())):
        if not encoder.reads(text):
            raise UserError(f"{encoder.name} reads nothing in {text[:SHOWN]!r}: use words of letters or digits.")
    if query.rerank and (not query.words or query.image is not None or query.like is not None):
        raise UserError("Re-ranking compares products with words: leave out rerank, or search by words alone.")
    if query.rerank and not encoder.matches:
        raise UserError(f"{encoder.name} has no image-text matching: leave out rerank.")


def _score(hit: Hit) -> float:
    return round(hit.score, DIGITS)


def _order(hit: Hit) -> tuple[float, str]:
    return -_score(hit), hit.id


def _vector(hit: Hit) -> NDArray[np.float32]:
    assert hit.vector is not None  # `nearest` and `fetch` return it
    return hit.vector


def _folded(found: Iterable[Found], count: int, least: float) -> list[Found]:
    """Returns the first `count` products that duplicate no earlier one, each with the ids of its near-duplicates."""
    kept: list[Found] = []
    also: list[list[str]] = []
    vectors = np.empty((0, 0), np.float32)  # those of `kept`, in an array that doubles when it is full
    for each in found:
        near = np.flatnonzero(vectors[: len(kept)] @ _vector(each.hit) >= least) if kept else np.zeros(0, np.intp)
        if len(near):
            also[near[0]].append(each.hit.id)
        elif len(kept) == count:
            break
        else:
            if len(kept) == len(vectors):
                more = np.empty((max(1, len(kept)), len(_vector(each.hit))), np.float32)
                vectors = np.concatenate([vectors.reshape(-1, more.shape[1]), more])
            vectors[len(kept)] = _vector(each.hit)
            kept.append(each)
            also.append([])
    return [Found(one.hit, tuple(ids), one.match) for one, ids in zip(kept, also, strict=True)]


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
