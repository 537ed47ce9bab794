"""Search is checked against a slow reference: all products scored and sorted, then filtered, folded and cut."""

import io
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search import query as query_module
from fashionfae_lavis.search.index import Hit
from fashionfae_lavis.search.query import (
    COMPOSED_TEXT_WEIGHT,
    NEAR_DUPLICATE,
    TEXT_WEIGHT,
    WITHOUT_WEIGHT,
    Query,
    Searcher,
)

WORDS = ("red", "blue", "shirt", "dress", "print")
SIZE = 12


def unit(vector) -> np.ndarray:
    vector = np.asarray(vector, np.float32)
    return vector / np.linalg.norm(vector)


def thumbnail(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (value, value, value)).save(file, "png")
    return file.getvalue()


def shade(image) -> int:
    return image.convert("RGB").getpixel((0, 0))[0]


@dataclass
class ToyEncoder:
    """Embeds words as axes, and a picture of one grey as the vector with this number."""

    vectors: np.ndarray
    dim: int = SIZE
    composes: bool = False
    matches: bool = False
    name: str = "toy"
    asked: list = field(default_factory=list)

    def embed_texts(self, texts):
        return np.stack([unit(sum(np.eye(SIZE)[WORDS.index(word)] for word in text.split())) for text in texts])

    def embed_images(self, images):
        return np.stack([self.vectors[shade(image)] for image in images])

    def reads(self, text):
        return any(map(str.isalnum, text))

    def compose(self, images, texts):
        assert self.composes
        self.asked.append(("compose", [shade(image) for image in images], list(texts)))
        return np.stack([np.roll(self.vectors[shade(image)], 1) for image in images])

    def rerank(self, images, text, cosines):
        assert self.matches
        self.asked.append(("match", [shade(image) for image in images], text, cosines))
        match = np.array([shade(image) % 7 / 7 for image in images], np.float32)
        return match / 2, match


@dataclass
class ToyIndex:
    """Products in memory. Among equal scores, the order of `nearest` is the reverse of the ids'."""

    hits: list
    asked: list = field(default_factory=list)
    info: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(location="toys"))

    def nearest(self, vector, count, where=None, exclude=()):
        self.asked.append(count)
        right = [hit for hit in self.hits if hit.id not in exclude and (where is None or where(hit.fields))]
        scored = [replace(hit, score=float(hit.vector @ vector)) for hit in reversed(right)]
        return sorted(scored, key=lambda hit: -hit.score)[:count]

    def fetch(self, ids):
        return [hit for hit in self.hits if hit.id in ids]


@pytest.fixture(params=[0, 1])
def searcher(request):
    """60 products of random vectors: 10 of them twice, 10 almost twice, one 13 times."""
    rng = np.random.default_rng(request.param)
    vectors = [unit(rng.standard_normal(SIZE)) for _ in range(28)]
    vectors += vectors[:10] + [unit(vector + 0.01 * rng.standard_normal(SIZE)) for vector in vectors[5:15]]
    vectors += [vectors[20]] * 12
    names = rng.permutation([f"p{number:02}" for number in range(len(vectors))])
    fields = [{"price": float(rng.integers(100))} for _ in vectors]
    parts = zip(names, fields, range(len(vectors)), vectors, strict=True)
    hits = sorted((Hit(str(name), 0.0, field, thumbnail(i), vector) for name, field, i, vector in parts), key=by_id)
    return Searcher(ToyEncoder(np.stack(vectors)), ToyIndex(hits))


def by_id(hit):
    return hit.id


def reference(searcher, vector, query) -> list[tuple[str, list[str]]]:
    """All products, ranked, and each followed by its near-duplicates; the page is cut last."""
    ranked = []
    for hit in searcher.index.hits:
        score = float(hit.vector @ vector)
        if hit.id == query.like or query.where and not query.where(hit.fields):
            continue
        if query.least_score is None or score >= query.least_score:
            ranked.append((-round(score, 6), hit.id, hit.vector))
    pages: list = []
    for _, name, vector in sorted(ranked, key=lambda one: one[:2]):
        first = next((page for page in pages if query.fold and page[2] @ vector >= NEAR_DUPLICATE), None)
        if first:
            first[1].append(name)
        else:
            pages.append((name, [], vector))
    return [(name, also) for name, also, _ in pages][query.offset : query.offset + query.count]


def names(found) -> list[str]:
    return [one.hit.id for one in found]


QUERIES = [
    Query("red shirt"),
    Query("red shirt", fold=False),
    Query("blue", count=7, offset=5),
    Query("blue", count=200),
    Query("dress", where=lambda fields: fields["price"] < 40),
    Query("dress", least_score=0.2),
    Query("dress", least_score=0.2, fold=False, offset=3, count=4),
]


@pytest.mark.parametrize("query", QUERIES)
def test_words_find_what_the_reference_finds(searcher, query):
    found = searcher.search(query)
    expected = reference(searcher, searcher.encoder.embed_texts([query.text])[0], query)
    assert names(found) == [name for name, _ in expected]
    assert [one.hit.score for one in found] == sorted((one.hit.score for one in found), reverse=True)
    for one, (_, also) in zip(found[:-1], expected, strict=False):
        assert list(one.also) == also[: len(one.also)]


def test_all_near_duplicates_of_all_products_are_named(searcher):
    found = searcher.search(Query("blue", count=200))
    assert [(one.hit.id, list(one.also)) for one in found] == reference(
        searcher, searcher.encoder.embed_texts(["blue"])[0], Query("blue", count=200)
    )
    assert sum(1 + len(one.also) for one in found) == len(searcher.index.hits)
    assert max(len(one.also) for one in found) == 12


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("rerank", [0, 9])
def test_pages_follow_each_other(searcher, fold, rerank):
    searcher.encoder.matches = True
    whole = names(searcher.search(Query("red", count=100, fold=fold, rerank=rerank)))
    pages = [Query("red", count=3, offset=offset, fold=fold, rerank=rerank) for offset in range(0, len(whole) + 3, 3)]
    assert [name for page in pages for name in names(searcher.search(page))] == whole
    assert len(set(whole)) == len(whole)


def test_equal_scores_rank_by_id_even_where_the_page_ends(searcher):
    twice = searcher.encoder.vectors[20]
    same = sorted(hit.id for hit in searcher.index.hits if np.array_equal(hit.vector, twice))
    query = Query(image=Image.new("RGB", (8, 8), (20, 20, 20)), count=4, fold=False)
    assert len(same) == 13
    assert names(searcher.search(query)) == same[:4]
    assert names(searcher.search(replace(query, offset=4))) == same[4:8]


def test_a_photograph_finds_what_the_reference_finds(searcher):
    query = Query(image=Image.new("RGB", (8, 8), (3, 3, 3)))
    found = searcher.search(query)
    assert names(found) == [name for name, _ in reference(searcher, searcher.encoder.vectors[3], query)]
    assert found[0].hit.score == pytest.approx(1)


@pytest.mark.parametrize(("composes", "weight"), [(False, TEXT_WEIGHT), (True, COMPOSED_TEXT_WEIGHT)])
def test_a_photograph_and_words_are_a_weighted_sum(searcher, composes, weight):
    searcher.encoder.composes = composes
    query = Query("blue dress", image=Image.new("RGB", (8, 8), (3, 3, 3)))
    text = unit([0, 1, 0, 1] + [0] * 8)
    vector = unit(weight * text + (1 - weight) * searcher.encoder.vectors[3])
    np.testing.assert_allclose(searcher.embed(query), vector, atol=1e-6)
    assert names(searcher.search(query)) == [name for name, _ in reference(searcher, vector, query)]


def test_the_composition_head_takes_the_photograph_and_the_words(searcher):
    searcher.encoder.composes = True
    replace(searcher, head=True).search(Query("blue", image=Image.new("RGB", (8, 8), (3, 3, 3))))
    assert searcher.encoder.asked == [("compose", [3], ["blue"])]


def test_more_like_a_product_leaves_it_out(searcher):
    liked = searcher.index.hits[4]
    query = Query(like=liked.id, count=200)
    assert names(searcher.search(query)) == [name for name, _ in reference(searcher, liked.vector, query)]
    assert liked.id not in names(searcher.search(replace(query, fold=False)))


@pytest.mark.parametrize("composes", [False, True])
def test_like_a_product_but_different(searcher, composes):
    searcher.encoder.composes = composes
    searcher = replace(searcher, head=composes)
    liked = searcher.index.hits[4]
    row = shade(Image.open(io.BytesIO(liked.thumbnail)))
    query = Query("red", like=liked.id)
    mixed = unit(TEXT_WEIGHT * np.eye(SIZE)[0] + (1 - TEXT_WEIGHT) * liked.vector)
    vector = np.roll(searcher.encoder.vectors[row], 1) if composes else mixed
    assert names(searcher.search(query)) == [name for name, _ in reference(searcher, vector, query)]
    assert searcher.encoder.asked == ([("compose", [row], ["red"])] if composes else [])


PRINT = np.eye(SIZE)[4]


@pytest.mark.parametrize("without", ["print", " print "])
def test_what_is_excluded_is_subtracted_from_words(searcher, without):
    expected = unit(unit([1, 0, 0, 1] + [0] * 8) - WITHOUT_WEIGHT * PRINT)
    np.testing.assert_allclose(searcher.embed(Query("red dress", without=without)), expected, atol=1e-6)


@pytest.mark.parametrize("words", [None, "red dress"])
def test_what_is_excluded_is_subtracted_from_a_photograph(searcher, words):
    text = (unit([1, 0, 0, 1] + [0] * 8) if words else 0) - WITHOUT_WEIGHT * PRINT
    expected = unit(TEXT_WEIGHT * text + (1 - TEXT_WEIGHT) * searcher.encoder.vectors[3])
    query = Query(words, image=Image.new("RGB", (8, 8), (3, 3, 3)), without="print")
    np.testing.assert_allclose(searcher.embed(query), expected, atol=1e-6)


def test_what_is_excluded_is_subtracted_from_a_composed_query(searcher):
    searcher.encoder.composes = True
    searcher = replace(searcher, head=True)
    composed = np.roll(searcher.encoder.vectors[3], 1)
    query = Query("red", image=Image.new("RGB", (8, 8), (3, 3, 3)), without="print")
    np.testing.assert_allclose(searcher.embed(query), unit(composed - WITHOUT_WEIGHT * PRINT), atol=1e-6)


def test_the_weights_can_be_changed(searcher):
    other = replace(searcher, text_weight=0.0, without_weight=0.0, near_duplicate=1.1)
    query = Query("blue", image=Image.new("RGB", (8, 8), (3, 3, 3)), without="print", count=200)
    np.testing.assert_allclose(other.embed(query), searcher.encoder.vectors[3], atol=1e-6)
    assert len(other.search(query)) == len(searcher.index.hits)


def test_reranking_orders_the_first_products_by_match_and_no_others(searcher):
    searcher.encoder.matches = True
    plain = searcher.search(Query("red", count=60, fold=False))
    found = searcher.search(Query("red", count=60, fold=False, rerank=8))
    rows = [shade(Image.open(io.BytesIO(one.hit.thumbnail))) for one in plain]
    assert searcher.encoder.asked == [("match", rows[:8], "red", [one.hit.score for one in plain[:8]])]
    order = sorted(range(8), key=lambda place: -(rows[place] % 7))
    assert names(found) == [plain[place].hit.id for place in order] + names(plain[8:])
    assert [one.match for one in found[:8]] == pytest.approx([rows[place] % 7 / 14 for place in order])
    assert [one.match for one in found[8:]] == [None] * 52


def test_reranking_more_products_than_a_page_shows(searcher):
    searcher.encoder.matches = True
    whole = searcher.search(Query("red", count=60, rerank=30))
    assert names(searcher.search(Query("red", count=5, rerank=30))) == names(whole)[:5]


def test_nothing_found_is_an_empty_page(searcher):
    searcher.encoder.matches = True
    assert searcher.search(Query("red", where=lambda fields: False, rerank=5)) == []
    assert searcher.search(Query("red", offset=1000)) == []
    assert searcher.search(Query("red", least_score=1.5)) == []


PHOTOGRAPH = Image.new("RGB", (8, 8))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (Query(), "The query is empty: search by words, a photograph or a product of the index."),
        (Query("", without="print"), "The query is empty"),
        (Query("  "), "The query is empty"),
        (Query(image=PHOTOGRAPH, like="p01"), "a photograph and a product: leave one of them out"),
        (Query(like="none"), "toys has no product with the id 'none'"),
        (Query("red", like="none"), "toys has no product with the id 'none'"),
        (Query("red", count=0), "count must be 1 or more"),
        (Query("red", offset=-1), "offset and rerank 0 or more"),
        (Query("red", count=10**30), "count, offset and rerank must be 1,000,000 at most"),
        (Query("red", offset=2**32), "count, offset and rerank must be 1,000,000 at most"),
        (Query("red", rerank=2**64), "count, offset and rerank must be 1,000,000 at most"),
        (Query("red", least_score=float("nan")), "The least score is not a number"),
        (Query("?!"), "toy reads nothing in '\\?!': use words of letters or digits"),
        (Query("red", without="..."), "toy reads nothing in '\\.\\.\\.'"),
        (Query("red", rerank=10), "toy has no image-text matching"),
        (Query("red", image=PHOTOGRAPH, rerank=10), "search by words alone"),
        (Query(like="p01", rerank=10), "search by words alone"),
    ],
)
def test_a_query_that_cannot_be_answered_is_one_sentence(searcher, query, message):
    with pytest.raises(UserError, match=message):
        searcher.search(query)


def test_rounding_errors_do_not_decide(searcher, monkeypatch):
    """Two engines whose scores differ by rounding find the same products in the same order."""
    expected = names(searcher.search(Query("red", count=60, fold=False)))
    nearest = ToyIndex.nearest

    def rough(self, *args):
        hits = nearest(self, *args)
        return [replace(hit, score=hit.score + (-1) ** place * 1e-8) for place, hit in enumerate(hits)]

    monkeypatch.setattr(ToyIndex, "nearest", rough)
    assert names(searcher.search(Query("red", count=60, fold=False))) == expected
    assert query_module.DIGITS == 6
