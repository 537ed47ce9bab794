"""Measures how well `fashionfae search` obeys its queries, on any prepared catalogue or on FashionGen-Mini.

    python benchmarks/search_quality.py fashiongen_mini --model fashionfae
    python benchmarks/search_quality.py CATALOGUE --model CHECKPOINT
    python benchmarks/search_quality.py CATALOGUE --model CHECKPOINT --tune    # the constants of search/query.py

The products of one split are searched by `Searcher`, each with its first photograph. Figures are shares of the first
ten products in percent; `chance` is what ten random products reach, and `limit` the best that is possible where fewer
than ten are right. Near-duplicates are not folded, and a photograph does not find its own product. The kind of a
product is the finest attribute that says what it is.

    attribute queries    "navy blue shirts", from all pairs of values of two attributes that three products have:
                         products with both values
    photo queries        products of the same kind as the photograph
    but in <colour>      a photograph and a colour that ten other products of its kind have: products of this colour,
                         of this kind, and both; also by the composition head of a model that has one
    <value> excluded     a kind, such as "shirts", or a photograph, without a colour or a pattern that the photograph or
                         five of the kind have: products that still have it, products of the kind, and those of the
                         kind without it

`--tune` repeats the last two with other weights, and measures which copies of photographs reach a cosine that counts
as a near-duplicate. Copies are saved as JPEG of quality 60, reduced to 90 % of the size, or cropped by 2 % on each
side. For comparison, it shows which products have another product as similar as that.
"""

import argparse
import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from lavis.common.registry import registry
from lavis.datasets.builders.base_dataset_builder import load_dataset_config
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fashionfae_lavis.evaluation.attribute_questions import attribute_values
from fashionfae_lavis.evaluation.embedding import first_rows, spread_products
from fashionfae_lavis.evaluation.search_queries import LEAST, Queries, attribute_pairs, benchmark_attributes, queries_of
from fashionfae_lavis.search.encoder import Encoder
from fashionfae_lavis.search.index import Hit
from fashionfae_lavis.search.query import Query, Searcher

MINI = "fashiongen_mini"
KINDS = ("fine_category", "sub_category", "category")  # roles that say what a product is, the finest first
BATCH = 64
TOP = 10
MOST = 500  # photographs that are searched by
ENOUGH = 10  # right products of a query
TEXT_WEIGHTS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9)
WITHOUT_WEIGHTS = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8)
THRESHOLDS = (0.95, 0.97, 0.98, 0.985, 0.99, 0.995)

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ExactIndex:
    """Products in memory, compared one by one; the id of a product is its number in the split."""

    vectors: NDArray[np.float32]
    thumbnails: Sequence[bytes]

    def nearest(self, vector, count, where=None, exclude=()) -> list[Hit]:
        scores = self.vectors @ vector
        scores[[int(name) for name in exclude]] = -np.inf
        best = np.argsort(-scores, kind="stable")[: min(count, len(scores) - len(exclude))]
        return [self._hit(int(product), float(scores[product])) for product in best]

    def fetch(self, ids) -> list[Hit]:
        return [self._hit(int(name), 1.0) for name in ids]

    def _hit(self, product: int, score: float) -> Hit:
        return Hit(identifier(product), score, {}, self.thumbnails[product], self.vectors[product])


def identifier(product: int) -> str:
    return f"{product:07}"


class Shop:
    """The products of a split with their values in words, and a searcher."""

    def __init__(self, split: Any, encoder: Encoder):
        self.split = split
        self.rows = first_rows(split)
        self.values = {name: np.array(values) for name, values in attribute_values(split).items()}
        roles = benchmark_attributes(list(self.values), {})
        self.kind_names = [roles[role] for role in KINDS if role in roles]
        self.kind, self.colour = self.kind_names[0], roles["colour"]
        embedded = cache(lambda text: encoder.embed_texts([text])[0])
        self.encoder = copy(encoder)  # queries repeat few texts
        self.encoder.embed_texts = lambda texts: np.stack([embedded(text) for text in texts])
        pictures = [encoder.embed_images(batch) for batch in self._batches()]
        thumbnails = [jpeg(picture, 90) for batch in self._batches() for picture in batch]
        self.searcher: Any = Searcher(self.encoder, ExactIndex(np.concatenate(pictures), thumbnails))

    def photograph(self, product: int) -> Image.Image:
        picture = self.split.photograph(int(self.rows[product]))
        return picture if isinstance(picture, Image.Image) else Image.fromarray(picture)

    def _batches(self) -> Iterable[list[Image.Image]]:
        for start in range(0, len(self.rows), BATCH):
            yield [self.photograph(product) for product in range(start, min(start + BATCH, len(self.rows)))]

    def some_products(self) -> Numbers:
        """Returns up to 500 products of a known kind, evenly spread."""
        products = spread_products(self.split, MOST)
        return products[self.values[self.kind][products] != ""]

    def top(self, queries: Iterable[Query], **options: Any) -> Numbers:
        """Returns the first ten products of each query, (Q, 10)."""
        searcher = replace(self.searcher, **options)
        pages = [searcher.search(replace(query, count=TOP, fold=False)) for query in queries]
        return np.array([[int(found.hit.id) for found in page] for page in pages])


def open_split(catalogue: str, split: str) -> Any:
    """Builds a split of FashionGen-Mini or of a prepared catalogue."""
    builder = registry.get_builder_class(MINI if catalogue == MINI else "catalogue")
    config = load_dataset_config(builder.default_config_path())
    if catalogue != MINI:
        config.root = catalogue
    return builder(config).build_datasets()[split]


def jpeg(picture: Image.Image, quality: int, longest: int = 224) -> bytes:
    """Returns a picture as JPEG with at most `longest` pixels on the longer side."""
    picture, file = picture.copy(), io.BytesIO()
    picture.thumbnail((longest, longest))
    picture.save(file, "jpeg", quality=quality)
    return file.getvalue()


def share(right: NDArray[np.bool_]) -> float:
    return 100 * float(right.mean())


def show(title: str, queries: int, figures: dict[str, float]) -> None:
    cells = "   ".join(f"{name} {figure:5.1f}" for name, figure in figures.items())
    print(f"{title:<42} {queries:>6}   {cells}", flush=True)


def attribute_queries(shop: Shop, rerank: int) -> None:
    pairs = attribute_pairs(list(shop.values))
    asked = {pair: queries_of([list(shop.values[name]) for name in pair], LEAST) for pair in pairs}
    found = {pair: precision(shop, queries) for pair, queries in asked.items() if queries.texts}
    count = sum(len(asked[pair].texts) for pair in found)
    means = {
        name: float(np.mean([figures[name] for figures in found.values()])) for name in ("P@10", "chance", "limit")
    }
    show(f"attribute queries, mean of {len(found)} pairs", count, means)
    pair = (shop.colour, shop.kind)
    if pair in found:
        show(f"attribute queries, {' + '.join(pair)}", len(asked[pair].texts), found[pair])
        if shop.encoder.matches and rerank:
            figures = precision(shop, asked[pair], rerank)
            show(f"  the first {rerank} re-ranked by ITM", len(asked[pair].texts), figures)


def precision(shop: Shop, queries: Queries, rerank: int = 0) -> dict[str, float]:
    top = shop.top(Query(text, rerank=rerank) for text in queries.texts)
    right = queries.answers[top] == np.arange(len(top))[:, None]
    return {
        "P@10": share(right),
        "chance": 100 * float(np.mean(queries.right / len(queries.answers))),
        "limit": 100 * float(np.mean(np.minimum(queries.right, TOP) / TOP)),
    }


def photo_queries(shop: Shop) -> None:
    products = shop.some_products()
    top = shop.top(Query(like=identifier(product)) for product in products)
    for name in shop.kind_names:
        values = shop.values[name]
        own = values[products][:, None]
        show(
            f"photo queries, same {name}", len(top), {"P@10": share(values[top] == own), "chance": share(values == own)}
        )


@dataclass(frozen=True, eq=False)
class Changes:
    """Products and the colours that they are asked in."""

    products: Numbers
    colours: list[str]

    @classmethod
    def draw(cls, shop: Shop) -> "Changes":
        """Draws for each product one of the colours that ten products of its kind have."""
        rng, kinds, colours = np.random.default_rng(0), shop.values[shop.kind], shop.values[shop.colour]
        counts = Counter(zip(kinds.tolist(), colours.tolist(), strict=True))
        drawn = {}
        for product in shop.some_products().tolist():
            kind, own = kinds[product], colours[product]
            others = [colour for (other, colour), count in counts.items() if other == kind and count >= ENOUGH]
            others = sorted({*others} - {"", own})
            if own and others:
                drawn[product] = str(rng.choice(others))
        return cls(np.array(list(drawn)), list(drawn.values()))

    def measure(self, shop: Shop, title: str, **options: Any) -> None:
        pairs = zip(self.products, self.colours, strict=True)
        top = shop.top((Query(f"but in {colour}", like=identifier(p)) for p, colour in pairs), **options)
        colour = shop.values[shop.colour][top] == np.array(self.colours)[:, None]
        kind = shop.values[shop.kind][top] == shop.values[shop.kind][self.products][:, None]
        show(title, len(top), {"colour": share(colour), "kind": share(kind), "both": share(colour & kind)})


@dataclass(frozen=True)
class Exclusions:
    """Kinds of products, and values of an attribute to leave out."""

    attribute: str
    pairs: list[tuple[str, str]]

    @classmethod
    def list(cls, shop: Shop, attribute: str) -> "Exclusions":
        """Lists the pairs that five products have, and ten of the kind have not."""
        pairs = [pair for pair in zip(shop.values[shop.kind], shop.values[attribute], strict=True) if all(pair)]
        kinds, counts = Counter(kind for kind, _ in pairs), Counter(pairs)
        chosen = [pair for pair, count in counts.items() if count >= 5 and kinds[pair[0]] - count >= ENOUGH]
        return cls(attribute, sorted((str(kind), str(value)) for kind, value in chosen))

    def measure(self, shop: Shop, title: str, **weights: float) -> None:
        """Searches for words, and for photographs of products that have the value."""
        top = shop.top((Query(kind, without=value) for kind, value in self.pairs), **weights)
        self._show(f"words, {title}", shop, top, self.pairs)
        own = zip(shop.values[shop.kind].tolist(), shop.values[self.attribute].tolist(), strict=True)
        pairs = dict(enumerate(own))
        products = [product for product in shop.some_products().tolist() if pairs[product] in self.pairs]
        asked = [pairs[product] for product in products]
        queries = zip(products, asked, strict=True)
        top = shop.top((Query(like=identifier(product), without=value) for product, (_, value) in queries), **weights)
        self._show(f"photograph, {title}", shop, top, asked)

    def _show(self, title: str, shop: Shop, top: Numbers, asked: Sequence[tuple[str, str]]) -> None:
        kinds, values = np.array(asked).T
        excluded = shop.values[self.attribute][top] == values[:, None]
        kind = shop.values[shop.kind][top] == kinds[:, None]
        show(title, len(top), {"still": share(excluded), "kind": share(kind), "kind without": share(kind & ~excluded)})


def copies(shop: Shop) -> None:
    """Shows the share of altered copies, and of the most similar other products, that reach each threshold."""
    vectors, products = shop.searcher.index.vectors, shop.some_products()
    altered: dict[str, Callable[[Image.Image], Image.Image]] = {
        "JPEG of quality 60": lambda picture: Image.open(io.BytesIO(jpeg(picture, 60, max(picture.size)))),
        "90 % of the size": lambda picture: picture.resize((picture.width * 9 // 10, picture.height * 9 // 10)),
        "cropped by 2 %": lambda picture: ImageOps.crop(picture, round(0.02 * min(picture.size))),
    }
    similar = vectors[products] @ vectors.T
    similar[np.arange(len(products)), products] = -1
    cosines = {"most similar other product": similar.max(1)}
    for title, alter in altered.items():
        rows = [shop.encoder.embed_images([alter(shop.photograph(product))])[0] for product in products.tolist()]
        cosines[title] = (np.stack(rows) * vectors[products]).sum(1)
    for title, found in cosines.items():
        show(f"cosine, {title}", len(found), {f">= {least}": share(found >= least) for least in THRESHOLDS})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("catalogue", help=f"folder of `fashionfae prepare catalogue`, or {MINI}")
    parser.add_argument("--model", default="fashionfae", help="checkpoint, folder or name (default: fashionfae)")
    parser.add_argument("--split", default="val", help="split to search (default: val)")
    parser.add_argument("--rerank", type=int, default=50, help="products that ITM re-ranks; 0 for none (default: 50)")
    parser.add_argument("--tune", action="store_true", help="try other weights and thresholds")
    args = parser.parse_args()

    shop = Shop(open_split(args.catalogue, args.split), Encoder.open(args.model))
    print(f"{len(shop.rows)} products")
    changes = Changes.draw(shop)
    exclusions = [Exclusions.list(shop, name) for name in shop.values if name.split()[-1] in ("colour", "pattern")]
    if args.tune:
        for weight in TEXT_WEIGHTS:
            changes.measure(shop, f"but in <colour>, w = {weight}", text_weight=weight)
        for each in exclusions:
            for weight in WITHOUT_WEIGHTS:
                each.measure(shop, f"{each.attribute} excluded, b = {weight}", without_weight=weight)
        copies(shop)
        return
    attribute_queries(shop, args.rerank)
    photo_queries(shop)
    changes.measure(shop, "photograph, but in <colour>")
    if shop.encoder.composes:
        changes.measure(shop, "  the same, by the composition head", head=True)
    for each in exclusions:
        each.measure(shop, f"{each.attribute} not excluded", without_weight=0)
        each.measure(shop, f"{each.attribute} excluded")


if __name__ == "__main__":
    main()
