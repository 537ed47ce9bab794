import asyncio
import io

import numpy as np
import pytest
from colour_shop import encoded, picture
from PIL import Image
from starlette.requests import Request

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.server import Settings, uploads
from fashionfae_lavis.search.server.context import Context, UploadTooSlow
from fashionfae_lavis.search.server.uploads import TooLarge, decode_upload, from_text, read_form, reduce, to_text
from fashionfae_lavis.search.server.workers import Busy

BOUNDARY = b"----limit"


def body(data: bytes, name=b"photo") -> bytes:
    head = b'Content-Disposition: form-data; name="%s"; filename="a.jpg"\r\n\r\n' % name
    return b"--" + BOUNDARY + b"\r\n" + head + data + b"\r\n--" + BOUNDARY + b"--\r\n"


def request(content: bytes, size=1000, kind=b"multipart/form-data; boundary=" + BOUNDARY):
    """A request whose body arrives in pieces, and the list of the pieces that were asked for."""
    pieces = [content[start : start + size] for start in range(0, len(content), size)] or [b""]
    taken = []

    async def receive():
        taken.append(len(pieces))
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind)]}
    return Request(scope, receive), taken


def test_a_form_stays_in_memory():
    data = np.random.default_rng(0).bytes(3 * 2**20)  # a larger part than Starlette keeps in memory
    asked, _ = request(body(data), size=2**16)
    form = asyncio.run(read_form(asked, 4 * 2**20))
    assert asyncio.run(form["photo"].read()) == data
    assert isinstance(form["photo"].file._file, io.BytesIO)


def test_a_large_upload_is_refused_after_it_was_read():
    asked, taken = request(body(bytes(5000)))
    with pytest.raises(TooLarge, match=r"^The photograph has more than 0.00195312 MB: choose a smaller one.$"):
        asyncio.run(read_form(asked, 2048))
    assert len(taken) == 6  # all pieces: a browser shows no answer before it has sent them


def test_an_endless_upload_is_cut_off(monkeypatch):
    monkeypatch.setattr(uploads, "DRAINED", 10_000)
    asked, taken = request(body(bytes(100_000)))
    with pytest.raises(TooLarge):
        asyncio.run(read_form(asked, 2048))
    assert len(taken) == 13


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"no form", b"multipart/form-data; boundary=" + BOUNDARY),
        (b"x", b"multipart/form-data"),
        (b"{}", b"application/json"),
        (body(b"a")[:-30] + b"\r\n" + body(b"b"), b"multipart/form-data; boundary=" + BOUNDARY),
    ],
)
def test_a_body_that_is_no_form(content, kind):
    asked, _ = request(content, kind=kind)
    with pytest.raises(UserError, match="is not a form with one file"):
        asyncio.run(read_form(asked, 10_000))


def test_uploads_are_decoded_as_the_datasets_are():
    assert decode_upload(encoded(picture((10, 200, 30)).convert("CMYK"))).mode == "RGB"
    clear = Image.new("RGBA", (20, 30), (255, 0, 0, 0))
    assert decode_upload(encoded(clear, "PNG")).getpixel((5, 5)) == (255, 255, 255)
    turned = Image.new("RGB", (20, 30))
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode_upload(encoded(turned, exif=exif)).size == (30, 20)


def test_unusable_uploads_are_one_sentence():
    bomb = encoded(Image.new("1", (8_000, 8_000)), "PNG")
    assert len(bomb) < 200_000
    whole = encoded(picture((9, 9, 9)))
    problems = {
        bomb: "is too large",
        whole[:-300]: "cannot be read",
        b"GIF89a": "cannot be read",
        b"": "is an empty file",
    }
    for data, reason in problems.items():
        with pytest.raises(UserError, match=f"^The photograph {reason}.*: choose another one.$"):
            decode_upload(data)


@pytest.mark.parametrize(
    ("size", "reduced"),
    [((200, 300), (200, 300)), ((1024, 2048), (256, 512)), ((6000, 300), (768, 38)), ((3000, 30), (768, 8))],
)
def test_reduced_photographs_keep_what_the_models_see(size, reduced):
    assert reduce(Image.new("RGB", size)).size == reduced


def test_a_photograph_survives_the_page():
    image = picture((200, 60, 40), size=(256, 340))
    again = from_text(to_text(image))
    assert again.size == image.size
    assert np.abs(np.asarray(again, int) - np.asarray(image, int)).mean() < 2
    with pytest.raises(UserError, match="^The photograph of the page is damaged: choose it again.$"):
        from_text("?")


def test_a_slow_upload_times_out():
    asked, _ = request(body(b"x" * 5000))

    async def never():
        await asyncio.sleep(60)

    asked._receive = never
    context = Context(None, Settings(upload_seconds=0.05), None, None, None)
    with pytest.raises(UploadTooSlow, match="took too long to arrive"):
        asyncio.run(context.read_form(asked))


def test_uploads_at_the_same_time_are_limited():
    context = Context(None, Settings(places=1, upload_seconds=0.2), None, None, None)

    async def two():
        slow, _ = request(body(b"x" * 5000))
        slow._receive = asyncio.Event().wait  # never
        waiting = asyncio.create_task(context.read_form(slow))
        await asyncio.sleep(0.05)
        with pytest.raises(Busy):
            await context.read_form(request(body(b"a"))[0])
        with pytest.raises(UploadTooSlow):
            await waiting
        return await context.read_form(request(body(b"a"))[0])

    assert "photo" in asyncio.run(two())
