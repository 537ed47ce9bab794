"""Attributes read off photographs by the labeller of the server."""

import threading
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from colour_shop import COLOURS, ColourEncoder, encoded, make_searcher, picture, when_fitted
from fastapi.testclient import TestClient

from fashionfae_lavis.search.labels import Labeller
from fashionfae_lavis.search.server import create_app
from fashionfae_lavis.search.server.attributes import (
    BATCH,
    CALIBRATING,
    AttributeReader,
    Fitting,
    IndexedProducts,
    calibrating_products,
)
from fashionfae_lavis.search.server.batching import BatchingEncoder
from fashionfae_lavis.search.value_scores import ValueScorer


class Watched(ColourEncoder):
    """Notes the thread and the number of photographs of each pass of the labeller; waits for `release`."""

    def __init__(self):
        super().__init__()
        self.threads, self.sizes = set(), []
        self.entered, self.release = threading.Event(), threading.Event()

    def embed_processed(self, images):
        self.threads.add(threading.current_thread().name)
        self.sizes.append(len(images))
        self.entered.set()
        assert self.release.wait(20)
        return super().embed_processed(images)


class Failing(ColourEncoder):
    def embed_processed(self, images):
        raise RuntimeError("weights at /home/someone/secret.pth")


@contextmanager
def reader_of(searcher):
    """A reader that has begun, and the model's thread."""
    shared = BatchingEncoder(searcher.encoder)
    counts = searcher.index.facets(["colour", "kind"])
    reader = AttributeReader(shared, searcher.index, counts)
    reader.start()
    yield reader
    reader.close()
    shared.close()


def photograph(colour):
    return {"image": ("a.png", encoded(picture(COLOURS[colour], seed=999), "PNG"))}


def test_labels_are_those_of_a_labeller_fitted_to_the_index():
    encoder = Watched()
    encoder.release.set()
    searcher = make_searcher(60, encoder)
    products = IndexedProducts(searcher.index, searcher.index.hits, ["colour", "kind"])
    expected = Labeller.fit(ValueScorer(encoder, text=False), products, ["colour", "kind"])
    encoder.threads.clear(), encoder.sizes.clear()
    images = [picture(colour, seed=100 + i) for i, colour in enumerate(COLOURS.values())]
    with reader_of(searcher) as reader:
        reader._thread.join()
        assert reader.state == "ready"
        assert encoder.threads == {"model"} and encoder.sizes == [BATCH] * 15
        found = [reader.read(image) for image in images]
        only = reader.read(images[0], ["kind"])
    assert [each["colour"].value for each in found] == list(COLOURS)
    assert set(only) == {"kind"}
    for labels, wanted in zip(found, expected.label(images), strict=True):
        for name in ("colour", "kind"):
            assert labels[name].value == wanted[name].value and labels[name].runner_up == wanted[name].runner_up
            assert labels[name].confidence == pytest.approx(wanted[name].confidence, abs=1e-4)
    # Pictures show the colour, but not the kind, whose confidence is therefore about the share of its value.
    assert min(each["colour"].confidence for each in found) > 0.9
    assert max(each["kind"].confidence for each in found) < 0.6


def test_searches_are_answered_while_the_labeller_is_fitted():
    encoder = Watched()
    searcher = make_searcher(40, encoder)
    with TestClient(create_app(searcher)) as client:
        assert encoder.entered.wait(10)
        assert client.get("/health").json()["labels"] == "fitting"
        early = client.post("/label", files=photograph("red"))
        assert early.status_code == 503 and early.headers["retry-after"] == str(Fitting.seconds)
        assert early.json() == {"error": str(Fitting())}
        page = client.get("/why", params={"id": "p004"}, headers={"accept": "text/html"})
        assert page.status_code == 200 and "<tbody>" not in page.text
        encoder.release.set()
        assert client.get("/search", params={"text": "red"}).status_code == 200
        assert when_fitted(client).get("/health").json()["labels"] == "ready"
        assert client.post("/label", files=photograph("red")).json()["attributes"]["colour"]["value"] == "red"
        assert "<tbody>" in client.get("/why", params={"id": "p004"}, headers={"accept": "text/html"}).text


def test_closing_ends_the_fitting():
    encoder = Watched()
    with reader_of(make_searcher(60, encoder)) as reader:
        assert encoder.entered.wait(10)
        threading.Timer(0.2, encoder.release.set).start()
    assert not reader._thread.is_alive() and len(encoder.sizes) < 15


def test_too_few_known_values_are_no_attribute():
    searcher = make_searcher(40)
    for hit in searcher.index.hits[15:]:
        hit.fields["kind"] = None
    with TestClient(create_app(searcher)) as client:
        assert when_fitted(client).get("/health").json()["labels"] == "ready"
        assert set(client.post("/label", files=photograph("red")).json()["attributes"]) == {"colour"}
        unknown = client.post("/label", files=photograph("red"), data={"attributes": "colours"})
        assert unknown.status_code == 400
        assert unknown.json() == {"error": "No attribute 'colours'; did you mean colour?"}
    with TestClient(create_app(make_searcher(8))) as client:
        assert when_fitted(client).get("/health").json()["labels"] == "none"
        assert client.post("/label", files=photograph("red")).json() == {"attributes": {}}
        nothing = client.post("/label", files=photograph("red"), data={"attributes": "kind"})
        assert nothing.status_code == 400 and "index has none with 20 or more" in nothing.json()["error"]


def test_a_failure_stops_only_the_labels(caplog):
    with TestClient(create_app(make_searcher(40, Failing())), raise_server_exceptions=False) as client:
        assert when_fitted(client).get("/health").json()["labels"] == "failed"
        answer = client.post("/label", files=photograph("red"))
        assert answer.status_code == 500 and "secret" not in answer.text
        for path in ("/search?text=red", "/", "/why?id=p004"):
            assert client.get(path).status_code == 200
    assert "Attributes cannot be read off photographs." in caplog.text and "secret.pth" in caplog.text


def test_products_that_calibrate_are_spread_over_the_index():
    searcher = make_searcher(60)
    index = replace(searcher.index, hits=[replace(searcher.index.hits[0], id=f"{i:05}") for i in range(2000)])
    numbers = [int(hit.id) for hit in calibrating_products(index)]
    assert len(set(numbers)) == len(numbers) == CALIBRATING
    assert np.histogram(numbers, 5, (0, 2000))[0].tolist() == [100] * 5
    assert [hit.id for hit in calibrating_products(searcher.index)] == [hit.id for hit in searcher.index.hits]


@pytest.mark.parametrize(("held_out", "expected"), [(240, {"val", "test"}), (100, {"train", "val", "test"})])
def test_held_out_products_calibrate_if_there_are_enough(held_out, expected):
    searcher = make_searcher(10)
    splits = ["val", "test"] * (held_out // 2) + ["train"] * (800 - held_out)
    hits = [
        replace(searcher.index.hits[0], id=f"{i:05}", fields={"split": split})
        for i, split in enumerate(np.random.default_rng(0).permutation(splits).tolist())
    ]
    found = calibrating_products(replace(searcher.index, hits=hits, columns={"split": "text"}))
    assert {hit.fields["split"] for hit in found} == expected
    assert len({hit.id for hit in found}) == len(found) == min(CALIBRATING, held_out if len(expected) == 2 else 800)
