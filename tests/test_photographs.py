import io
import os
import struct
import subprocess
import zlib

import numpy as np
import pytest
import torch
from lavis.models import load_model_and_preprocess
from PIL import Image, ImageFile
from prepare.dirty_shop import half, photograph

from fashionfae_lavis.datasets.datasets.catalogue_file import CatalogueFile
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.mini.fashiongen.attributes import sample_products
from fashionfae_lavis.mini.fashiongen.descriptions import fields_of
from fashionfae_lavis.mini.fashiongen.drawing import draw_front
from fashionfae_lavis.photographs import (
    ENOUGH,
    FORMATS,
    MOST_PIXELS,
    ORIENTATION,
    UnusableImage,
    decode_photograph,
    load_photograph,
    read_photograph,
    to_rgb,
    upright_rgb,
)


def encoded(image, form="PNG", **options):
    """Returns an image file in memory."""
    file = io.BytesIO()
    image.save(file, form, **options)
    file.seek(0)
    return file


def quarter_turn():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return exif


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_images_become_upright(form):
    picture = photograph(0, (80, 60))
    file = encoded(picture, form, exif=quarter_turn())
    upright = picture.transpose(Image.Transpose.ROTATE_270)
    for image in (decode_photograph(file), upright_rgb(Image.open(file))):
        assert image.size == (60, 80)
        assert np.abs(np.asarray(image, int) - np.asarray(upright, int)).mean() < 12
        assert upright_rgb(image).size == (60, 80)  # not turned again


@pytest.mark.parametrize(("enough", "size"), [(ENOUGH, (1000, 800)), (324, (500, 400)), (162, (250, 200))])
def test_a_jpeg_is_decoded_at_the_smallest_scale_that_is_enough(enough, size):
    assert decode_photograph(encoded(Image.new("RGB", (1000, 800)), "JPEG"), enough).size == size
    assert decode_photograph(encoded(Image.new("RGB", (1000, 800)), "PNG"), enough).size == (1000, 800)


@pytest.mark.parametrize(("side", "enough"), [(224, 324), (112, 162)])
def test_a_smaller_scale_changes_a_crop_less_than_the_choice_of_the_filter(side, enough):
    coarse = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 48, 3), dtype=np.uint8))
    large = coarse.resize((800, 1000), Image.Resampling.BICUBIC)

    def crop(enough, resampling):
        image = decode_photograph(encoded(large, "JPEG"), enough)
        scale = image.width / 800
        part = image.crop([round(scale * edge) for edge in (40, 80, 680, 920)])
        return np.asarray(part.resize((side, side), resampling)).astype(int)

    whole = crop(1000, Image.Resampling.BILINEAR)
    reduced = np.abs(crop(enough, Image.Resampling.BILINEAR) - whole)
    filtered = np.abs(crop(1000, Image.Resampling.BICUBIC) - whole)
    assert 0 < reduced.mean() < 0.7 * filtered.mean() and reduced.max() <= filtered.max()


def test_a_large_jpeg_is_decoded_at_a_smaller_scale():
    large = Image.new("RGB", (4 * ENOUGH, 5 * ENOUGH))
    assert decode_photograph(encoded(large, "JPEG")).size == (ENOUGH, 5 * ENOUGH // 4)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "P", "PA", "RGBA", "RGBa", "CMYK", "YCbCr", "I;16", "I", "F"])
def test_any_mode_becomes_rgb(mode):
    image = Image.new(mode, (4, 4))
    assert to_rgb(image).mode == "RGB" and to_rgb(image).size == (4, 4)


def with_transparent_top(mode):
    """Returns a grey square whose upper half is transparent and black under the transparency, and its file."""
    image = Image.new("LA", (4, 4), (120, 255))
    image.paste((0, 0), (0, 0, 4, 2))
    if mode in ("LA", "PA", "RGBA", "RGBa"):
        return image.convert("RGBA").convert(mode) if mode != "PA" else image.convert("RGBA").convert("P").convert("PA")
    colour = {"L": 0, "P": 0, "RGB": (0, 0, 0)}[mode]
    opaque = image.convert("L").convert(mode) if mode != "P" else image.convert("L").convert("P")
    return Image.open(encoded(opaque, transparency=opaque.getpixel((0, 0)) if mode == "P" else colour))


@pytest.mark.parametrize("mode", ["LA", "PA", "RGBA", "RGBa", "L", "P", "RGB"])
def test_transparent_parts_become_white(mode):
    image = with_transparent_top(mode)
    image.load()
    if mode == "PA":
        image.putalpha(Image.fromarray(np.repeat(np.uint8([[0], [0], [255], [255]]), 4, 1)))
    pixels = np.asarray(to_rgb(image), int)
    assert (pixels[:2] == 255).all() and np.abs(pixels[2:] - 120).max() <= 2


def png(pixels, colour_type, transparent):
    """Returns a PNG of big-endian 16-bit pixels (H, W, C) with a transparent colour, which Pillow cannot write."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)),
        (b"tRNS", np.array(transparent, ">u2").tobytes()),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + body)


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3)])
def test_a_transparent_colour_of_16_bits_becomes_white(colour_type, channels):
    pixels = np.full((4, 4, channels), 120 * 257)
    pixels[:2] = 1000
    image = np.asarray(decode_photograph(png(pixels, colour_type, [1000] * channels)))
    assert (image[:2] == 255).all() and (image[2:] == 120).all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.uint16([[0, 257, 32896, 65535]]), [0, 1, 128, 255]),
        (np.int32([[0, 257, 32896, 65535]]), [0, 1, 128, 255]),
        (np.int32([[-7, 1, 128, 255]]), [0, 1, 128, 255]),
        (np.float32([[0, 0.25, 0.5, 1]]), [0, 63, 127, 255]),
        (np.float32([[np.nan, -1, 128, 255]]), [0, 0, 128, 255]),
        (np.float32([[0, 257, 32896, 65535]]), [0, 1, 128, 255]),
    ],
)
def test_deep_greys_become_eight_bits(values, expected):
    image = decode_photograph(encoded(Image.fromarray(values), "TIFF"))
    assert np.asarray(image)[0, :, 0].tolist() == expected


def test_a_ramp_of_16_bits_is_not_saturated():
    ramp = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)
    assert (np.asarray(decode_photograph(encoded(Image.fromarray(ramp))))[..., 0] == ramp >> 8).all()


def test_inks_become_colours():
    cmyk = decode_photograph(encoded(photograph(10, mode="CMYK"), "JPEG", quality=95))
    assert np.abs(np.asarray(cmyk, int) - np.asarray(photograph(10), int)).mean() < 12


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_read(form):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    file = encoded(frames[0], form, save_all=True, append_images=frames[1:])
    assert Image.open(file).n_frames == 3
    red, green, blue = decode_photograph(file).getpixel((4, 4))
    assert red > 240 and green < 15 and blue < 15


def test_a_truncated_file_is_an_error_whatever_lavis_told_pillow(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    (tmp_path / "half.jpg").write_bytes(half(photograph(1, (600, 800))))
    with pytest.raises(UserError, match=r"half.jpg cannot be read: image file is truncated .*: use another file\.$"):
        read_photograph(tmp_path / "half.jpg")
    with pytest.raises(UnusableImage, match="image file is truncated"):
        upright_rgb(Image.open(tmp_path / "half.jpg"))
    assert ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize("form", ["EPS", "PPM", "TGA", "ICO", "PDF"])
def test_other_formats_are_refused_whatever_their_name(tmp_path, monkeypatch, form):
    def started(*args, **kwargs):
        raise AssertionError(f"a program was started: {args}")

    monkeypatch.setattr(subprocess, "Popen", started)
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.jpg", form)
    with pytest.raises(
        UnusableImage, match="cannot be read: it is not an image in one of the formats JPEG, PNG, WEBP, GIF, BMP, TIFF"
    ):
        load_photograph(tmp_path / "red.jpg")


def test_an_eps_that_a_user_opened_starts_no_program(monkeypatch):
    image = Image.open(encoded(Image.new("RGB", (64, 64), "red"), "EPS"))
    monkeypatch.setattr(type(image), "load", lambda *args, **options: pytest.fail("Ghostscript would start"))
    with pytest.raises(UnusableImage, match="is in the format EPS"):
        upright_rgb(image)


@pytest.mark.parametrize("form", FORMATS)
def test_the_formats_are_those_of_shops(form):
    assert decode_photograph(encoded(Image.new("RGB", (9, 8)), form)).size == (9, 8)


def declared(width, height):
    """Returns a PNG of a few bytes that claims this many pixels."""
    content = png(np.zeros((1, 1, 1)), 0, [0]).getvalue()
    header = b"IHDR" + struct.pack(">II", width, height) + content[24:29]
    return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


@pytest.mark.parametrize("size", [(MOST_PIXELS // 8000 + 1, 8000), (20_000, 10_000)])
def test_too_many_pixels_are_refused_before_decoding(tmp_path, monkeypatch, size):
    (tmp_path / "vast.png").write_bytes(declared(*size))
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(UnusableImage, match="is too large"):
        load_photograph(tmp_path / "vast.png")
    if size[0] < 10_000:
        with pytest.raises(UnusableImage, match=r"is too large: 6251 x 8000 pixels, more than 50 million in all"):
            upright_rgb(Image.open(tmp_path / "vast.png"))


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((1, 60_000), "is not a photograph of a product: 1 x 60000 pixels"),
        ((0, 0), "has no pixels"),
        ((0, 9), "is not a"),
    ],
)
def test_an_image_that_would_grow_when_resized_is_refused(size, reason):
    with pytest.raises(UnusableImage, match=reason):
        upright_rgb(Image.new("RGB", size))


def test_a_progressive_jpeg_counts_in_full_as_its_scale_saves_no_memory(monkeypatch):
    monkeypatch.setattr("fashionfae_lavis.photographs.MOST_PIXELS", 1_000_000)
    large = Image.new("RGB", (1100, 1100))
    assert decode_photograph(encoded(large, "JPEG")).size == (550, 550)
    with pytest.raises(UnusableImage, match="1100 x 1100"):
        decode_photograph(encoded(large, "JPEG", progressive=True))


@pytest.fixture
def shop(tmp_path):
    """An image folder that is itself a symbolic link, and an image outside it."""
    (tmp_path / "disk" / "sub").mkdir(parents=True)
    (tmp_path / "photos").symlink_to("disk")
    for path in ("disk/a.png", "disk/sub/b.png", "secret.png"):
        photograph(0).save(tmp_path / path)
    return tmp_path / "photos"


def test_only_images_in_the_folder_are_read(shop, tmp_path):
    (shop / "in.png").symlink_to("sub/b.png")
    for name in ("a.png", "sub/b.png", "sub/../a.png", "in.png", tmp_path / "disk" / "a.png"):
        assert load_photograph(shop / name, shop).size == (60, 80)
    (shop / "out.png").symlink_to(tmp_path / "secret.png")
    (shop / "up").symlink_to("..")
    for name in ("../secret.png", "sub/../../secret.png", tmp_path / "secret.png", "out.png", "up/secret.png"):
        with pytest.raises(UnusableImage, match=f"is outside the image folder {shop}"):
            load_photograph(shop / name, shop)
        assert load_photograph(shop / name).size == (60, 80)  # of no folder


def test_what_is_no_regular_file_is_refused_at_once(shop):
    os.mkfifo(shop / "fifo.png")
    (shop / "loop.png").symlink_to("loop.png")
    (shop / "empty.png").touch()
    for name, reason in {
        "fifo.png": "cannot be read: Not a regular file",
        "sub": "cannot be read: Not a regular file",
        "/dev/zero": "cannot be read: Not a regular file",
        "loop.png": "cannot be read: Too many levels of symbolic links",
        "x" * 300: "cannot be read: File name too long",
        "a.png/b.png": "cannot be read: Not a directory",
        "nothing.png": "is missing",
        "nul\0.png": "is not a file name",
        "\ud800.png": "is not a file name",
        "empty.png": "is an empty file",
    }.items():
        with pytest.raises(UnusableImage, match=reason):
            load_photograph(shop / name)


def test_an_unreadable_file_is_named(shop, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("fashionfae_lavis.photographs.open_regular", refuse)
    with pytest.raises(UserError, match=r"a.png cannot be read: Permission denied: put it back\.$"):
        read_photograph(shop / "a.png", shop, mend="put it back")


def cut_out(image):
    """Makes the pale ground of a drawn picture transparent, and black under the transparency."""
    pixels = np.asarray(image).copy()
    ground = np.abs(pixels.astype(int) - pixels[0, 0]).max(-1) < 20
    pixels[ground] = 0
    return Image.fromarray(np.dstack([pixels, np.where(ground, 0, 255).astype(np.uint8)]))


@pytest.mark.slow
def test_recall_is_the_same_for_opaque_transparent_and_rotated_photographs(tmp_path):
    """R@1 of the packaged weights over 200 products, from images to texts and back, by both paths."""
    products = sample_products("validation", 200, 0)
    drawn = [Image.fromarray(draw_front(product, 256)) for product in products]
    cuts = [cut_out(image) for image in drawn]
    turned = [image.transpose(Image.Transpose.ROTATE_90) for image in drawn]  # upright after the quarter turn
    kinds = {
        "opaque": (drawn, {}),
        "opaque on white": ([Image.merge("RGB", to_rgb(image).split()) for image in cuts], {}),
        "cut-out": (cuts, {}),
        "rotated": (turned, {"exif": quarter_turn()}),
    }
    model, processors, text_processors = load_model_and_preprocess("fashionfae", is_eval=True)
    process = processors["eval"]

    def embeds(mode, **samples):
        with torch.no_grad():
            found = getattr(model.extract_features(samples, mode=mode), f"{mode}_embeds_proj")[:, 0]
        return torch.nn.functional.normalize(found, dim=-1)

    texts = embeds("text", text_input=[text_processors["eval"](fields_of(product)) for product in products])
    recall = {}
    for kind, (images, options) in kinds.items():
        folder = tmp_path / kind
        folder.mkdir()
        for number, image in enumerate(images):
            image.save(folder / f"{number}.png", compress_level=1, **options)
        entries = [
            {"row": i, "images": [f"{i}.png"], "title": "", "description": "", "fields": {}} for i in range(len(images))
        ]
        catalogue = CatalogueFile(folder, folder, [], entries)
        by_path = {
            "catalogue": [catalogue.image(i) for i in range(len(images))],
            "PIL image": [Image.open(folder / f"{i}.png") for i in range(len(images))],
        }
        for path, pictures in by_path.items():
            scores = embeds("image", image=torch.stack([process(picture) for picture in pictures])) @ texts.T
            right = torch.arange(len(scores))
            recall[kind, path] = [float((scores.argmax(axis) == right).sum()) / 2 for axis in (1, 0)]
    print(
        *(f"{kind:16} {path:10} I2T {i2t:.1f}  T2I {t2i:.1f}" for (kind, path), (i2t, t2i) in recall.items()), sep="\n"
    )
    images_to_texts, texts_to_images = (np.array([pair[axis] for pair in recall.values()]) for axis in (0, 1))
    assert images_to_texts.min() > 80 and np.ptp(images_to_texts) <= 4
    # Texts find photographs on grey more often than on white, whether or not these are cut out.
    on_grey = np.array([kind in ("opaque", "rotated") for kind, _ in recall])
    for ground in (on_grey, ~on_grey):
        assert texts_to_images[ground].min() > 70 and np.ptp(texts_to_images[ground]) <= 3
