"""The command is run on an index of drawn products and an encoder that knows their colours."""

import json

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from fashionfae_lavis.cli import main
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.encoder import Encoder
from fashionfae_lavis.search.index import create_index
from fashionfae_lavis.search.vectors import Vectors

COLOURS = {"red": (255, 0, 0), "blue": (0, 0, 255), "green": (0, 255, 0)}


class ColourEncoder:
    """Embeds a picture as its mean colour, and words as the sum of the colours that they name."""

    name, digest, dim, composes, matches = "colours", "0123456789abcdef", 3, False, True

    def embed_images(self, images):
        return unit([np.asarray(image.convert("RGB"), float).mean((0, 1)) + 1 for image in images])

    def embed_texts(self, texts):
        return unit([np.sum([COLOURS[word] for word in text.split()], 0) for text in texts])

    def reads(self, text):
        return any(map(str.isalnum, text))

    def rerank(self, images, text, cosines):
        return np.full(len(images), 0.5), np.linspace(0, 1, len(images))


def unit(rows) -> np.ndarray:
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Twelve products of each colour, each a little different; `red-00` is there twice."""
    folder = tmp_path_factory.mktemp("shop")
    names, paths, prices = [], [], []
    for colour, values in COLOURS.items():
        for number in range(12):
            name = f"{colour}-{number:02}"
            values_here = [min(255, value + 9 * number + 3 * i) for i, value in enumerate(values)]
            names.append(name)
            prices.append(10.0 * number)
            paths.append(folder / f"{name}.png")
            Image.new("RGB", (30, 40), tuple(values_here)).save(paths[-1])
    names.append("red-copy")
    paths.append(paths[0])
    prices.append(None)
    vectors = ColourEncoder().embed_images([Image.open(path) for path in paths])
    table = pa.table(
        {
            "id": names,
            "image": [str(path) for path in paths],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), 3),
            "title": [f"{name} shirt فستان" for name in names],
            "colour": [name.split("-")[0] for name in names],
            "price": pa.array(prices, pa.float64()),
        }
    )
    create_index(str(folder / "index"), Vectors(table, "colours", ColourEncoder.digest))
    return folder


@pytest.fixture(autouse=True)
def encoder(monkeypatch):
    opened = []

    def open_encoder(model, device="auto"):
        opened.append((model, device))
        return ColourEncoder()

    monkeypatch.setattr(Encoder, "open", open_encoder)
    return opened


@pytest.fixture
def search(index, capsys):
    def run(*arguments):
        main(["search", str(index / "index"), *map(str, arguments)])
        return capsys.readouterr().out

    return run


@pytest.fixture
def hits(search):
    return lambda *arguments: json.loads(search(*arguments, "--json"))


def ids(hits) -> list[str]:
    return [hit["id"] for hit in hits]


def test_words_find_products_of_their_colour(hits):
    found = hits("red", "--no-fold")
    assert len(found) == 10
    assert all(name.startswith("red") for name in ids(found))
    assert ids(found)[:2] == ["red-00", "red-copy"]
    assert found[0]["fields"] == {"title": "red-00 shirt فستان", "colour": "red", "price": 0.0}
    assert found[1]["fields"]["price"] is None
    assert [hit["rank"] for hit in found] == list(range(1, 11))


def test_near_duplicates_are_folded_unless_told_otherwise(hits):
    found = hits("red", "--count", 1)
    assert ids(found) == ["red-00"] and "red-copy" in found[0]["also"]
    assert hits("red", "--count", 1, "--no-fold")[0]["also"] == []


def test_conditions_hold_before_the_ranking(hits):
    found = hits("red", "--where", "colour in ('blue', 'green') and price < 40", "--no-fold", "--count", 50)
    assert sorted(ids(found)) == [f"{colour}-{number:02}" for colour in ("blue", "green") for number in range(4)]


def test_a_photograph_and_a_product_find_similar_ones(hits, index):
    assert ids(hits("--image", index / "blue-03.png", "--no-fold"))[0] == "blue-03"
    liked = ids(hits("--like", "blue-03", "--no-fold", "--count", 3))
    assert "blue-03" not in liked and all(name.startswith("blue") for name in liked)


def test_words_change_a_photograph_or_a_product(hits, index):
    for options in (("--image", index / "blue-00.png"), ("--like", "blue-00")):
        assert ids(hits("green", *options, "--no-fold"))[0].startswith("green")


def test_what_is_excluded_ranks_lower(hits):
    both = ids(hits("red blue", "--no-fold", "--count", 20))
    without = ids(hits("red blue", "--without", "blue", "--no-fold", "--count", 5))
    assert any(name.startswith("blue") for name in both)
    assert all(name.startswith("red") for name in without)


def test_reranking_a_least_score_and_pages(hits):
    plain = hits("red", "--no-fold", "--count", 40)
    assert ids(hits("red", "--no-fold", "--rerank", 5))[:5] == ids(plain)[4::-1]
    least = plain[6]["score"] - 1e-4
    assert ids(hits("red", "--no-fold", "--count", 40, "--least-score", least)) == ids(plain)[:7]
    assert ids(hits("red", "--no-fold", "--offset", 10)) == ids(plain)[10:20]
    assert hits("red", "--no-fold", "--offset", 10)[0]["rank"] == 11


def test_the_table_fits_the_terminal(search, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    header, *lines = search("red", "--count", 3, "--no-fold").splitlines()
    assert header.split() == ["#", "score", "id", "title", "attributes"]
    assert [line.split()[2] for line in lines] == ["red-00", "red-copy", "red-01"]
    assert "red, price 0" in lines[0] and "price" not in lines[1]
    assert max(map(len, [header, *lines])) <= 62  # with two marks of direction


def test_nothing_found(search, hits):
    assert search("red", "--least-score", 2) == "No product was found.\n"
    assert hits("red", "--least-score", 2) == []


@pytest.mark.parametrize("options", [("red",), ("--like", "red-00"), ("red", "--least-score", "2")])
def test_a_sheet_is_drawn(hits, tmp_path, options):
    hits(*options, "--sheet", tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size[0] > 1000


def test_the_model_is_that_of_the_index_unless_named(search, encoder):
    search("red")
    search("red", "--model", "other", "--device", "cpu")
    assert encoder == [("colours", "auto"), ("other", "cpu")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "The query is empty: search by words, a photograph or a product of the index."),
        (("--like", "none"), "has no product with the id 'none'"),
        (("--image", "none.jpg"), "none.jpg is missing: use another file."),
        (("--image", __file__), "it is not an image in one of the formats"),
        (("red", "--where", "size = 1"), "no column of the index"),
        (("red", "--count", "0"), "count must be 1 or more"),
        (("--like", "red-00", "--image", "{index}/red-00.png"), "leave one of them out"),
        (("--like", "red-00", "--rerank", "9"), "search by words alone"),
        (("red", "--sheet", "out.jpg"), "--sheet out.jpg must be a .png file: give it such a name."),
        (("red", "--sheet", "/nowhere/out.png"), "Cannot write /nowhere/out.png"),
    ],
)
def test_an_error_is_one_sentence(index, capsys, options, message):
    with pytest.raises(SystemExit) as stop:
        main(["search", str(index / "index"), *(option.format(index=index) for option in options)])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error


def test_an_index_of_another_model_is_refused(index, capsys, monkeypatch):
    monkeypatch.setattr(ColourEncoder, "digest", "f" * 16)
    with pytest.raises(SystemExit):
        main(["search", str(index / "index"), "red"])
    assert "holds vectors of the model colours" in capsys.readouterr().err


def test_words_may_follow_the_options(hits):
    assert ids(hits("--like", "red-00", "green", "--no-fold")) == ids(hits("green", "--like", "red-00", "--no-fold"))


def test_a_model_that_is_gone_is_named_with_its_index(index, capsys, monkeypatch):
    def gone(model, device="auto"):
        raise UserError(f"There is no checkpoint file {model}.")

    monkeypatch.setattr(Encoder, "open", gone)
    with pytest.raises(SystemExit):
        main(["search", str(index / "index"), "red"])
    assert capsys.readouterr().err == (
        f"error: The model that {index / 'index'} names cannot be opened (There is no checkpoint file colours): "
        "put it back, or name its new place with --model.\n"
    )


def test_a_missing_index_is_one_sentence(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["search", str(tmp_path / "none"), "red"])
    assert capsys.readouterr().err.startswith("error: ")
