"""The API, with a model of colours and an index in memory."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from colour_shop import COLOURS, ColourEncoder, encoded, make_searcher, picture, when_fitted
from fastapi.testclient import TestClient
from PIL import Image

from fashionfae_lavis.search.index import IndexFailed
from fashionfae_lavis.search.query import Query, Searcher
from fashionfae_lavis.search.server import Settings, create_app


@pytest.fixture(scope="module")
def searcher() -> Searcher:
    return make_searcher()


@pytest.fixture(scope="module")
def client(searcher):
    with TestClient(create_app(searcher, Settings(most_bytes=200_000))) as client:
        yield when_fitted(client)


def photograph(colour="blue", kind="JPEG"):
    return {"image": (f"photo.{kind.lower()}", encoded(picture(COLOURS[colour], seed=999), kind))}


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [product["id"] for product in answer.json()["products"]]


def test_search_by_words_equals_the_searcher(client, searcher):
    answer = client.get("/search", params={"text": "red dress", "count": 7})
    found = searcher.search(Query(text="red dress", count=7))
    assert ids(answer) == [each.hit.id for each in found]
    for product, each in zip(answer.json()["products"], found, strict=True):
        assert product["score"] == pytest.approx(each.hit.score, abs=1e-6)
        assert product["fields"] == each.hit.fields and product["match"] is None


def test_pages_continue(client):
    whole = ids(client.get("/search", params={"text": "green", "count": 20}))
    assert whole == [
        *ids(client.get("/search", params={"text": "green"})),
        *ids(client.get("/search", params={"text": "green", "offset": 10})),
    ]


def test_filters_and_facets(client):
    params = {"text": "red", "where": "kind = 'coat' and price < 40", "facets": "colour, kind", "count": 50}
    answer = client.get("/search", params=params)
    products = answer.json()["products"]
    assert all(product["fields"]["kind"] == "coat" and product["fields"]["price"] < 40 for product in products)
    assert sum(answer.json()["facets"]["colour"].values()) == sum(1 + len(each["also"]) for each in products)
    assert answer.json()["facets"]["kind"] == {"coat": len(products)}


def test_search_by_photograph(client, searcher):
    answer = client.post("/search", files=photograph("green"), data={"count": "5", "where": "kind = 'shirt'"})
    assert len(ids(answer)) == 5
    assert {(each["fields"]["colour"], each["fields"]["kind"]) for each in answer.json()["products"]} == {
        ("green", "shirt")
    }


def test_similar_leaves_the_product_out(client):
    found = ids(client.get("/similar", params={"id": "p004", "count": 5}))
    assert "p004" not in found and {int(each[1:]) % 4 for each in found} == {0}
    changed = client.get("/similar", params={"id": "p004", "text": "blue", "count": 40})
    assert ids(changed)[0] != found[0]


def test_label_reads_values_off_a_photograph(client):
    answer = client.post("/label", files=photograph("blue"), data={"attributes": "colour"})
    assert answer.status_code == 200 and set(answer.json()["attributes"]) == {"colour"}
    colour = answer.json()["attributes"]["colour"]
    assert colour["value"] == "blue" and colour["runner_up"] in COLOURS and 0.5 < colour["confidence"] <= 1
    assert set(client.post("/label", files=photograph()).json()["attributes"]) == {"colour", "kind"}


def test_products_and_their_thumbnails(client):
    product = client.get("/products/p008").json()
    assert product["fields"]["title"] == 'A & B\'s "coat"'
    answer = client.get(f"/{product['thumbnail']}")
    assert answer.headers["content-type"] == "image/jpeg" and "immutable" in answer.headers["cache-control"]
    again = client.get(f"/{product['thumbnail']}", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    old = client.get("/thumbnail", params={"id": "p008", "v": "0123"})
    assert old.content == answer.content and "no-cache" in old.headers["cache-control"]
    missing = client.get("/products/a/b")
    assert (missing.status_code, missing.json()) == (404, {"error": "There is no product with the id 'a/b'."})


def test_health_and_metrics(client):
    assert client.get("/health").json() == {
        "status": "ok",
        "model": "colours",
        "digest": "0123456789abcdef",
        "engine": "memory",
        "products": 60,
        "labels": "ready",
    }
    ids(client.get("/search", params={"text": "red"}))
    text = client.get("/metrics").text
    assert 'fashionfae_requests_total{route="/search",status="200"}' in text
    assert "fashionfae_batch_calls_bucket" in text and "fashionfae_requests_inside 0.0" in text
    client.get("/nowhere")
    assert 'route="other",status="404"' in client.get("/metrics").text


def test_openapi_describes_the_uploads(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/search", "/similar", "/label", "/products/{id}", "/health", "/metrics"}
    form = paths["/search"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["image"] == {"type": "string", "format": "binary"} and "image" in form["required"]
    assert "without" in form["properties"]
    assert paths["/search"]["get"]["responses"]["503"]["content"]["application/json"]


@pytest.mark.parametrize(
    ("path", "params", "status", "message"),
    [
        ("/search", {}, 422, "The parameter text is missing: add it."),
        ("/search", {"text": "red", "cuont": 5}, 422, "The parameter cuont is unknown: leave it out."),
        ("/search", {"text": "red", "count": 0}, 422, "greater than or equal to 1"),
        ("/search", {"text": "x" * 1001}, 422, "at most 1000 characters"),
        ("/search", {"text": "red", "where": "color = 'red'"}, 400, "did you mean colour?"),
        ("/search", {"text": "red", "facets": "prize"}, 400, "No facet 'prize'"),
        ("/search", {"text": "red", "rerank": 5}, 400, "no image-text matching"),
        ("/search", {"text": "broken"}, 400, "The text is broken: write another."),
        ("/similar", {"id": "p999"}, 400, "no product with the id 'p999'"),
        ("/nowhere", {}, 404, "There is no such page."),
    ],
)  # fmt: skip
def test_errors_are_one_sentence(client, path, params, status, message):
    answer = client.get(path, params=params)
    assert answer.status_code == status and list(answer.json()) == ["error"]
    assert message in answer.json()["error"] and "\n" not in answer.json()["error"]


def test_uploads_have_limits(client):
    large = client.post("/search", files={"image": ("a.jpg", bytes(300_000))})
    assert large.status_code == 413 and large.json()["error"].startswith("The photograph has more than 0.19")
    bomb = encoded(Image.new("1", (8_000, 8_000)), "PNG")
    for data, reason in ((bomb, "is too large"), (b"text", "cannot be read"), (b"", "is an empty file")):
        answer = client.post("/label", files={"image": ("a.png", data)})
        assert answer.status_code == 400 and reason in answer.json()["error"]
    for request in ({"data": {"text": "red"}}, {"content": b"{}"}, {"files": {"picture": ("a.jpg", b"1")}}):
        assert client.post("/search", **request).status_code == 400
    unknown = client.post("/search", files=photograph(), data={"rerank": "5"})
    assert unknown.status_code == 422 and "rerank" in unknown.json()["error"]


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "CMYK"), ("PNG", "RGBA"), ("WEBP", "RGB"), ("TIFF", "L")])
def test_photographs_of_all_kinds(client, kind, mode):
    data = encoded(picture(COLOURS["red"]).convert(mode), kind)
    assert client.post("/search", files={"image": ("a", data)}).status_code == 200


def test_answers_forbid_other_origins(client):
    for path in ("/", "/search?text=red", "/nowhere", "/static/page.js"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"


class Slow(ColourEncoder):
    """Blocks in every pass with the text `slow`."""

    def __init__(self):
        super().__init__()
        self.entered, self.release = threading.Event(), threading.Event()

    def embed_texts(self, texts):
        if "slow" in texts:
            self.entered.set()
            self.release.wait(20)
        return super().embed_texts(texts)


def test_a_full_queue_is_503_and_waiting_searches_share_a_pass():
    encoder = Slow()
    texts = ["red", "green", "blue", "red blue"]
    with (
        TestClient(create_app(make_searcher(20, encoder), Settings(places=5))) as client,
        ThreadPoolExecutor(5) as pool,
    ):
        when_fitted(client)
        slow = pool.submit(client.get, "/search", params={"text": "slow"})
        assert encoder.entered.wait(10)
        waiting = [pool.submit(client.get, "/search", params={"text": text}) for text in texts]
        while client.app.state.context.service.encoder._waiting.qsize() < len(texts):
            pass
        full = client.get("/search", params={"text": "red"})
        assert full.status_code == 503 and full.headers["retry-after"] == "1"
        assert full.json() == {"error": "Too many people are searching: try again in a moment."}
        assert client.get("/health").status_code == 200
        encoder.release.set()
        assert slow.result(10).status_code == 200
        together = [ids(each.result(10)) for each in waiting]
        assert encoder.passes[-1] == len(texts)
        assert together == [ids(client.get("/search", params={"text": text})) for text in texts]


def test_a_slow_answer_times_out():
    encoder = Slow()
    with TestClient(create_app(make_searcher(8, encoder), Settings(seconds=0.2))) as client:
        answer = client.get("/search", params={"text": "slow"})
        encoder.release.set()
    assert answer.status_code == 504
    assert answer.json() == {"error": "The answer took too long: try again in a moment."}


class Broken(ColourEncoder):
    def embed_texts(self, texts):
        if "secret" in texts:
            raise RuntimeError("weights at /home/someone/secret.pth")
        return super().embed_texts(texts)


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_an_unexpected_error_shows_nothing(accept):
    app = create_app(make_searcher(8, Broken()))
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/search", params={"text": "secret"}, headers={"accept": accept})
    assert answer.status_code == 500
    assert "The server failed to answer: its log says why." in answer.text
    assert "Error" not in answer.text and ".pth" not in answer.text and "Traceback" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_failing_index_is_no_mistake_of_who_asks(monkeypatch, caplog):
    searcher = make_searcher(8)

    def fail(self, *arguments):
        raise IndexFailed("/srv/shop.index cannot be used (disk): check the folder.")

    with TestClient(create_app(searcher)) as client:
        monkeypatch.setattr(type(searcher.index), "nearest", fail)
        answer = client.get("/search", params={"text": "red"})
    assert answer.status_code == 500 and answer.json() == {"error": "The server failed to answer: its log says why."}
    assert "/srv/shop.index cannot be used (disk)" in caplog.text


def test_a_client_that_leaves_during_its_upload_is_no_failure():
    app = create_app(make_searcher(4))
    arriving = iter([{"type": "http.request", "body": b"--x\r\n", "more_body": True}, {"type": "http.disconnect"}])
    sent = []

    async def receive():
        return next(arriving)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/search", "root_path": "", "query_string": b""}
    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    asyncio.run(app({**scope, "headers": headers}, receive, send))  # raises nothing, which uvicorn would log
    assert sent[0]["status"] == 400


def test_the_token():
    with TestClient(create_app(make_searcher(8), Settings(token="päss word"))) as client:
        for path in (
            "/search?text=red",
            "/products/p001",
            "/metrics",
            "/openapi.json",
            "/thumbnail?id=p001",
            "/nowhere",
        ):
            refused = client.get(path)
            assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer", path
            assert refused.json() == {"error": "Enter the token to search."}
        assert client.post("/search", files=photograph()).status_code == 401
        assert client.get("/health").status_code == client.get("/static/style.css").status_code == 200
        right = {"authorization": "Bearer päss word".encode()}
        assert client.get("/search?text=red", headers=right).status_code == 200
        for wrong in ("Bearer pass", "Bearer ", "Basic päss word", ""):
            assert client.get("/search?text=red", headers={"authorization": wrong.encode()}).status_code == 401

        page = client.get("/", headers={"accept": "text/html"})
        assert page.status_code == 401 and 'type="password"' in page.text
        wrong = client.post("/sign-in", data={"token": "pass"}, headers={"accept": "text/html"})
        assert wrong.status_code == 401 and "This is not the token" in wrong.text and not client.cookies
        signed = client.post("/sign-in", data={"token": "päss word"}, follow_redirects=False)
        assert signed.status_code == 303
        cookie = signed.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "word" not in cookie
        assert client.get("/", headers={"accept": "text/html"}).status_code == 200


def test_many_clients_get_what_one_gets(client):
    texts = ["red", "green", "blue", "white", "red green", "blue white"] * 8
    alone = {text: client.get("/search", params={"text": text}).json() for text in set(texts)}
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda text: client.get("/search", params={"text": text}), texts))
    for text, answer in zip(texts, answers, strict=True):
        assert [each["id"] for each in answer.json()["products"]] == [each["id"] for each in alone[text]["products"]]
        scores = [[each["score"] for each in each_answer["products"]] for each_answer in (answer.json(), alone[text])]
        np.testing.assert_allclose(*scores, atol=1e-6)
