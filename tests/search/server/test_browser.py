"""The page in a real browser: the system's Chromium, driven by Playwright, against a running server."""

import contextlib
import shutil
import socket
import threading
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
import uvicorn
from colour_shop import COLOURS, TITLES, encoded, make_searcher, picture, when_fitted

from fashionfae_lavis.search.server import Settings, create_app

sync_api = pytest.importorskip("playwright.sync_api", reason="the browser tests need Playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium"),
]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def address():
    """The address of a server in a thread."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(create_app(make_searcher(), Settings()), port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/") as client:
        when_fitted(client)
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser, address, viewport=DESKTOP, **options):
    """A page whose requests to other hosts are blocked; there must be none, and no error of a script."""
    context = browser.new_context(viewport=viewport, **options)
    elsewhere, errors = [], []

    def route(route):
        url = urlsplit(route.request.url)
        if url.scheme in ("data", "blob") or url.hostname == "127.0.0.1":
            return route.continue_()
        elsewhere.append(route.request.url)
        route.abort()

    context.route("**/*", route)
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: "Content Security Policy" in message.text and errors.append(message.text))
    page.set_default_timeout(15_000)
    page.goto(address)
    yield page
    context.close()
    assert elsewhere == [] and errors == []


@pytest.fixture
def page(browser, address):
    with opened(browser, address) as page:
        yield page


@pytest.fixture
def photographs(tmp_path):
    """Files of all kinds, by name."""
    image = picture(COLOURS["green"], size=(600, 800), seed=50)
    contents = {
        "green.jpg": encoded(image),
        "cmyk.jpg": encoded(image.convert("CMYK")),
        "broken.jpg": encoded(image)[:2000],
        "huge.jpg": np.random.default_rng(0).bytes(30 * 2**20),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def count(page):
    page.wait_for_load_state()
    return page.locator(".count").inner_text()


def titles(page):
    page.wait_for_load_state()  # a page is shown while it still arrives
    return page.locator(".card h2").all_inner_texts()


def choose(page, value):
    """Clicks the box of a facet's value."""
    page.locator(f"input[name=f][value='{value}']").click()


def test_text_paging_and_back(page):
    page.fill("#q", "red")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=red")  # nothing but what was asked for
    assert count(page) == "Products for “red”" and len(titles(page)) == 24
    first = titles(page)
    page.get_by_role("button", name="Next").click()
    page.wait_for_url("**page=2")
    assert not set(first) & set(titles(page)) and count(page) == "Page 2 of products for “red”"
    page.go_back()
    assert titles(page) == first


def test_facets_refine_and_keep_the_focus(page):
    choose(page, "kind:coat")
    page.wait_for_url("**f=kind%3Acoat")
    assert len(titles(page)) == 20
    assert page.evaluate("document.activeElement.value") == "kind:coat"
    choose(page, "colour:red")
    page.wait_for_url("**f=colour%3Ared**")
    assert len(titles(page)) == 5
    page.get_by_role("button", name="Remove kind: coat").click()
    page.wait_for_url("**drop=kind%3Acoat")
    assert len(titles(page)) == 15


def test_a_photograph_facets_words_and_pages(page, photographs):
    page.set_input_files("#photo", photographs / "green.jpg")
    page.wait_for_selector("img[alt='Your photograph']")
    assert count(page) == "Products like your photograph"
    assert page.locator(".read .chip").first.inner_text().split()[:2] == ["colour", "green"]
    assert {title.split()[0] for title in titles(page)[:6]} <= {"Green", "<script>document.title"}
    page.get_by_role("button", name="Next").click()
    page.wait_for_selector(".count:has-text('Page 2')")
    choose(page, "kind:dress")
    page.wait_for_selector(".chips:has-text('dress')")
    assert count(page) == "Products like your photograph"
    page.fill("#q", "red")
    page.keyboard.press("Enter")
    page.wait_for_selector(".count:has-text('but “red”')")
    page.get_by_label("Remove the photograph").click()
    page.wait_for_url("**/?q=red&f=kind%3Adress")


def test_dropping_a_photograph(page, photographs):
    data = list((photographs / "green.jpg").read_bytes())
    page.evaluate(
        """data => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(data)], "green.jpg", { type: "image/jpeg" }));
            const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
            document.body.dispatchEvent(new DragEvent("dragenter", options));
            if (!document.body.classList.contains("dragging")) throw new Error("no sign of dragging");
            document.body.dispatchEvent(new DragEvent("drop", options));
        }""",
        data,
    )
    page.wait_for_selector("img[alt='Your photograph']")
    assert count(page) == "Products like your photograph"


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_photographs_of_all_kinds(browser, address, photographs, script):
    sentences = {
        "cmyk.jpg": "",
        "broken.jpg": "The photograph cannot be read",
        "huge.jpg": "The photograph has more than 10 MB: choose a smaller one.",
    }
    for name, sentence in sentences.items():
        with opened(browser, address, java_script_enabled=script) as page:
            page.set_input_files("#photo", photographs / name)
            if not script:
                page.get_by_role("button", name="Search with the photograph").click()
            if sentence:
                page.wait_for_selector(f"text={sentence}")
                assert page.locator("#q").is_visible()
            else:
                page.wait_for_selector("img[alt='Your photograph']")
                assert len(titles(page)) == 24


def test_without_javascript(browser, address):
    with opened(browser, address, java_script_enabled=False) as page:
        page.fill("#q", "blue")
        page.keyboard.press("Enter")
        page.wait_for_selector(".count:has-text('for “blue”')")
        choose(page, "kind:shirt")
        page.get_by_role("button", name="Apply").click()
        page.wait_for_selector(".chips:has-text('shirt')")
        assert len(titles(page)) == 20
        page.locator(".card a.picture").first.click()
        page.wait_for_selector("h1")
        page.locator("img.heat").wait_for()


def test_more_like_this_and_this_but(page):
    page.locator(".card").nth(4).get_by_role("link", name="More like this").click()
    page.wait_for_url("**like=p004")
    assert count(page) == "Products like “Red shirt 4”" and "Red shirt 4" not in titles(page)
    page.locator(".card").first.get_by_role("link", name="This, but").click()
    page.wait_for_url("**but=")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.type("blue")
    page.keyboard.press("Enter")
    page.wait_for_selector(".count:has-text(', but “blue”')")


def test_why_shows_attributes_and_the_heat_map(page):
    page.fill("#q", "red")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=red")
    page.locator(".card a.picture").first.click()
    heat = page.wait_for_selector("dialog[open] img.heat")
    assert heat.evaluate("node => node.decode().then(() => node.naturalWidth)") > 100
    assert page.locator("dialog tbody tr").first.text_content().split()[:2] == ["colour", "red"]
    page.keyboard.press("Escape")
    assert not page.locator("dialog[open]").count()


def test_no_hit_and_the_way_back(page, address):
    page.fill("input[name=low]", "5000")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=No products found")
    page.get_by_role("link", name="Show all products").click()
    page.wait_for_selector(".card")
    assert page.url == address


def test_titles_of_all_kinds(page):
    assert page.title() == "All products · Search"
    shown = dict(zip(titles(page), page.locator(".card h2").element_handles(), strict=True))
    assert {TITLES[5], TITLES[6], TITLES[7], TITLES[8]} <= shown.keys()
    directions = {title: shown[title].evaluate("node => getComputedStyle(node).direction") for title in TITLES.values()}
    assert directions[TITLES[6]] == "rtl" and directions[TITLES[7]] == "ltr"
    page.fill("#q", TITLES[6])
    page.keyboard.press("Enter")
    page.wait_for_selector(f".count:has-text('{TITLES[6]}')")
    assert page.locator("#q").evaluate("node => node.matches(':dir(rtl)')")


def test_the_keyboard_alone(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the products"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.type("green")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=green")
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("[document.activeElement.id, document.activeElement.className].join(' ').trim()"))
        outline = page.evaluate(
            "(node => getComputedStyle(node).outlineStyle + getComputedStyle(node.parentElement).outlineStyle)"
            "(document.activeElement)"
        )
        assert "solid" in outline or "auto" in outline or reached[-1].startswith("q"), reached[-1]
        if reached[-1] == "picture":
            break
    assert "photo hidden" in reached and "go main" in reached and reached[-1] == "picture"
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.className") == "picture"


@pytest.mark.parametrize("query", ["", "?q=red", "?q=red&f=kind:coat&low=20", "?like=p004", "why?id=p005&q=red"])
def test_a_phone_scrolls_in_one_direction(browser, address, query):
    with opened(browser, address + query, viewport=PHONE, has_touch=True) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_phone_hides_the_filters_until_asked(browser, address):
    with opened(browser, address, viewport=PHONE, has_touch=True) as page:
        assert not page.locator("input[value='kind:coat']").is_visible()
        page.locator("label.refine").tap()
        choose(page, "kind:coat")
        page.wait_for_selector(".chips:has-text('coat')")
        first, second = (page.locator(".card").nth(number).bounding_box() for number in range(2))
        assert first["y"] == second["y"] and first["width"] > 150


def test_the_dark_theme(browser, address):
    shades = {}
    for scheme in ("light", "dark"):
        with opened(browser, address, color_scheme=scheme) as page:
            shades[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert shades == {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 21, 19)"}
