"""The page as HTML, without a browser."""

import re
from dataclasses import replace

import pytest
from colour_shop import COLOURS, TITLES, encoded, make_searcher, picture, when_fitted
from fastapi.testclient import TestClient
from lxml import html

from fashionfae_lavis.search.server import Settings, create_app


@pytest.fixture(scope="module")
def client():
    with TestClient(create_app(make_searcher(), Settings(most_bytes=200_000))) as client:
        when_fitted(client).headers["accept"] = "text/html"
        yield client


def page(answer, status=200):
    assert answer.status_code == status, answer.text
    return html.fromstring(answer.text)


def cards(tree):
    return [" ".join(node.text_content().split()) for node in tree.xpath("//li[@class='card']/h2")]


def text(tree, xpath):
    return [" ".join(node.text_content().split()) for node in tree.xpath(xpath)]


def test_the_start_shows_products_and_counts(client):
    tree = page(client.get("/"))
    assert text(tree, "//p[@role='status']") == ["60 products"] and len(cards(tree)) == 24
    assert text(tree, "//legend")[:3] == ["colour", "kind", "price"]
    assert text(tree, "//fieldset[1]//label") == ["red 15", "green 15", "blue 15", "white 15"]


def test_text_search_and_pages_by_get(client):
    tree = page(client.get("/", params={"q": "red"}))
    assert all("Red" in title or title in TITLES.values() for title in cards(tree)[:8])
    assert text(tree, "//nav//button") == ["Next →"]
    second = page(client.get("/", params={"q": "red", "page": "2"}))
    assert not set(cards(tree)) & set(cards(second)) and text(second, "//nav//button") == ["← Previous", "Next →"]
    last = page(client.get("/", params={"q": "red", "page": "3"}))
    assert len(cards(last)) == 60 - 48 and text(last, "//nav//button") == ["← Previous"]


def test_why_a_product_matched_is_marked(client):
    tree = page(client.get("/", params={"q": "red dress"}))
    first = tree.xpath("//li[@class='card']")[0]
    assert set(text(first, ".//mark")) <= {"red", "dress"} and "red" in text(first, ".//mark")


def test_facets_count_what_a_further_choice_would_find(client):
    tree = page(client.get("/", params={"f": ["colour:red", "kind:coat"], "low": "20"}))
    counts = dict(label.split() for label in text(tree, "//fieldset[1]//label"))
    assert len(counts) == 4
    for colour, count in counts.items():
        only = page(client.get("/", params={"f": [f"colour:{colour}", "kind:coat"], "low": "20"}))
        assert len(cards(only)) == int(count)
    assert text(tree, "//ul[@aria-label='Filters']/li") == ["red", "coat", "20 – ∞"]
    fewer = page(client.get("/", params={"f": ["colour:red", "kind:coat"], "low": "20", "drop": "colour:red"}))
    assert text(fewer, "//ul[@aria-label='Filters']/li") == ["coat", "20 – ∞"]
    without_price = page(client.get("/", params={"f": "kind:coat", "low": "20", "drop": "price"}))
    assert text(without_price, "//ul[@aria-label='Filters']/li") == ["coat"]


def test_a_photograph_travels_with_the_page(client):
    upload = {"photo": ("a.jpg", encoded(picture(COLOURS["green"], size=(900, 1200), seed=50)))}
    tree = page(client.post("/", files=upload))
    assert all("Green" in title or title in TITLES.values() for title in cards(tree)[:8])
    assert [chip.split()[:2] for chip in text(tree, "//section[@class='read']//li")][0] == ["colour", "green"]
    form = tree.xpath("//form[@id='search']")[0]
    assert (form.get("method"), form.get("enctype")) == ("post", "multipart/form-data")
    carried = {"picture": form.xpath(".//input[@name='picture']/@value")[0]}
    assert len(carried["picture"]) < 100_000
    again = page(client.post("/", data=carried, files={"photo": ("", b"")}))
    assert cards(again) == cards(tree)
    following = page(client.post("/", data={**carried, "page": "2", "f": "kind:coat"}, files={"photo": ("", b"")}))
    assert text(following, "//p[@role='status']") == ["No products"]
    assert text(page(client.post("/", data={**carried, "q": "red"})), "//p[@role='status']") == [
        "Products like your photograph, but “red”"
    ]


def test_more_like_this(client):
    tree = page(client.get("/", params={"like": "p004", "but": ""}))
    assert "Red shirt 4" not in cards(tree)
    assert text(tree, "//p[@role='status']") == ["Products like “Red shirt 4”"]
    assert tree.xpath("//input[@id='q']/@autofocus") and tree.xpath("//a[@class='remove']/@href") == ["./?"]


def test_titles_are_escaped_and_set_in_their_direction(client):
    answer = client.get("/")
    assert "<script>document" not in answer.text and TITLES[5] in cards(html.fromstring(answer.text))
    headings = page(answer).xpath("//li[@class='card']/h2")
    assert TITLES[6] in [each.text_content() for each in headings] and {each.get("dir") for each in headings} == {
        "auto"
    }
    for attack in ('"><script>alert(1)</script>', "</bdi><img src=x>", "{{ 7 * 7 }}"):
        for params in ({"q": attack}, {"q": "red", "without": attack}, {"q": "red", "f": f"colour:{attack}"}):
            tree = page(client.get("/", params=params))
            assert len(tree.xpath("//script")) == 1 and not tree.xpath("//img[@src='x']")
            assert attack in tree.text_content() + " ".join(tree.xpath("//input/@value"))


def test_the_page_names_no_other_place(client):
    for path in ("/", "/?q=red", "/why?id=p001&q=red", "/static/style.css", "/static/page.js"):
        text = client.get(path).text
        assert not re.search(r"""(?:src|href|action)=["']?(?:https?:)?//|url\(|@import""", text), path
        assert not re.search(r"<(?:style|script)>|\son\w+=|\sstyle=", text), path


def test_why(client):
    tree = page(client.get("/why", params={"id": "p004", "q": "red"}))
    assert text(tree, "//h1") == ["Red shirt 4"] and text(tree, "//tbody/tr[1]/*")[:2] == ["colour", "red"]
    heat = tree.xpath("//img[@class='heat']/@src")[0]
    answer = client.get(f"/{heat}")
    assert answer.headers["content-type"] == "image/png" and answer.content[:4] == b"\x89PNG"
    assert not page(client.get("/why", params={"id": "p004"})).xpath("//img[@class='heat']")
    assert "There is no product with the id" in page(client.get("/why", params={"id": "x"}), 404).text_content()
    assert client.get("/heat-map", params={"id": "p004", "q": " "}).status_code == 404


@pytest.mark.parametrize(
    ("params", "status", "message"),
    [
        ({"like": "p999"}, 400, "no product with the id 'p999'"),
        ({"high": "nan"}, 400, "The price 'nan' is not a number: write one such as 49.90."),
        ({"low": "1e999"}, 400, "The price '1e999' is not a number: write one such as 49.90."),
        ({"low": "cheap"}, 400, "The price 'cheap' is not a number: write one such as 49.90."),
        ({"f": "size:M"}, 400, "The index has no column 'size'"),
        ({"q": "broken"}, 400, "The text is broken: write another."),
    ],
)
def test_problems_are_a_sentence_on_the_page(client, params, status, message):
    tree = page(client.get("/", params=params), status)
    assert message in text(tree, "//div[@role='alert']")[0]
    assert tree.xpath("//input[@id='q']/@value") == [params.get("q", "")]


def test_unusable_uploads_are_a_sentence_on_the_page(client):
    for data, status, message in (
        (b"no picture", 400, "The photograph cannot be read"),
        (bytes(300_000), 413, "The photograph has more than"),
        (b"", 400, "The photograph is an empty file"),
    ):
        tree = page(client.post("/", files={"photo": ("a.jpg", data)}), status)
        assert message in text(tree, "//div[@role='alert']")[0]
    assert "damaged" in page(client.post("/", data={"picture": "?"}), 400).text_content()


def test_no_hit(client):
    tree = page(client.get("/", params={"q": "red", "low": "1000"}))
    assert not cards(tree) and text(tree, "//section[@class='none']/h2") == ["No products found"]
    assert "There are no more pages." in page(client.get("/", params={"page": "90"})).text_content()


def test_counts_are_kept_for_a_while_and_then_counted_again(monkeypatch):
    searcher = make_searcher()
    with TestClient(create_app(searcher)) as client:
        client.headers["accept"] = "text/html"
        path = "//fieldset[1]//label[1]"
        assert text(page(client.get("/")), path) == ["red 15"]
        searcher.index.hits.pop(0)  # a red one
        assert text(page(client.get("/")), path) == ["red 15"]
        assert text(page(client.get("/?f=kind:dress")), path) != text(page(client.get("/")), path)
        monkeypatch.setattr("fashionfae_lavis.search.server.service.FRESH", 0)
        assert text(page(client.get("/")), "//fieldset[1]//label[last()]") == ["red 14"]


def test_a_product_without_a_picture():
    searcher = make_searcher(3)
    searcher.index.hits[0] = replace(searcher.index.hits[0], thumbnail=b"")
    with TestClient(create_app(searcher)) as client:
        client.headers["accept"] = "text/html"
        tree = page(client.get("/"))
        assert len(tree.xpath("//a[@class='picture']/img")) == 2 and text(tree, "//span[@class='missing']") == [
            "no picture"
        ]
        assert client.get("/products/p000").json()["thumbnail"] is None
        assert client.get("/thumbnail", params={"id": "p000"}).status_code == 404
        assert client.get("/heat-map", params={"id": "p000", "q": "red"}).status_code == 404
        assert not page(client.get("/why", params={"id": "p000", "q": "red"})).xpath("//tbody")


@pytest.mark.parametrize(("column", "shown"), [("product display name", "Green shirt 1"), ("headline", "p001")])
def test_the_title_may_have_another_name(column, shown):
    searcher = make_searcher(3)
    index = searcher.index
    index.columns = {column: "text", "colour": "text"}
    index.hits = [
        replace(hit, fields={column: hit.fields["title"], "colour": hit.fields["colour"]}) for hit in index.hits
    ]
    with TestClient(create_app(searcher)) as client:
        assert shown in cards(page(client.get("/", headers={"accept": "text/html"})))


@pytest.mark.parametrize("columns", [{"title": "text"}, {"title": "text", "price": "text"}])
def test_limits_of_the_price_need_prices(columns):
    searcher = make_searcher(4)
    searcher.index.columns = columns
    searcher.index.hits = [replace(hit, fields={**hit.fields, "price": "10"}) for hit in searcher.index.hits]
    with TestClient(create_app(searcher)) as client:
        answer = client.get("/", params={"low": "5"})
        assert answer.status_code == 400 and "The products have no prices" in answer.json()["error"]
