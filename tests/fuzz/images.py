"""Fuzzer of images: broken, disguised, huge and odd ones, read in every way that the package reads them."""

import io
import random
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fashionfae_lavis.cli import main
from fashionfae_lavis.datasets.datasets.catalogue_file import read_catalogue
from fashionfae_lavis.datasets.datasets.fashioniq import FashionIQDataset
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.images import LONGEST, SMALLEST
from fashionfae_lavis.processors.images import FashionImageEvalProcessor, FashionImageTrainProcessor

from .files import catalogue_lines, write_fashioniq, write_lines, write_photographs
from .harness import Case, Wrong
from .mutations import damage_bytes, outside_of, replace_file

FORMATS = {
    "JPEG": ("L", "RGB", "CMYK"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("L", "P", "RGB"),
    "BMP": ("1", "L", "P", "RGB"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "I;16", "F"),
    "PPM": ("1", "L", "RGB"),
    "TGA": ("L", "RGB", "RGBA"),
    "JPEG2000": ("L", "RGB", "RGBA"),
    "ICO": ("RGBA",),
    "PCX": ("L", "RGB"),
    "SGI": ("L", "RGB"),
    "DDS": ("RGB", "RGBA"),
    "MPO": ("RGB",),
}
ENDINGS = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif")
DISGUISES = {
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n%%EndComments\n(/etc/passwd)(r)file\nshowpage\n%%EOF\n",
    "PDF": b"%PDF-1.4\n1 0 obj<</Type/Catalog/OpenAction<</S/Launch/F(sh)>>>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
    "SVG": b'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg><text>&x;</text></svg>',
    "HTML": b"<!doctype html><script>1</script>",
    "XPM": b'/* XPM */\nstatic char *x[] = {"99999 99999 1 9",\n"a c #000000"};',
    "FITS": b"SIMPLE  =                    T".ljust(2880),
    "WMF": b"\xd7\xcd\xc6\x9a" + bytes(60),
    "zip": b"PK\x03\x04" + bytes(40),
    "FLI": struct.pack("<IHHHHHH", 128, 0xAF12, 9999, 60000, 60000, 8, 3) + bytes(200),
    "empty": b"",
    "one byte": b"\xff",
}
MODES = (
    "1",
    "L",
    "P",
    "RGB",
    "RGBA",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
    "I",
    "F",
    "LA",
    "La",
    "PA",
    "RGBa",
    "RGBX",
    "I;16",
)


def prepare(shared: Path) -> None:
    """Writes small files that decode to huge pictures."""
    for name, width, height, bits, colour, palette in (
        ("rgb", 13_300, 13_300, 8, 2, b""),
        ("rgba", 13_300, 13_300, 8, 6, b""),
        ("deep", 13_300, 13_300, 16, 6, b""),
        ("grey16", 13_300, 13_300, 16, 0, b""),
        ("palette", 13_300, 13_300, 8, 3, bytes(768)),
        ("bits", 13_300, 13_300, 1, 0, b""),
        ("wide", 170_000_000, 1, 8, 2, b""),
        ("tall", 1, 60_000_000, 8, 2, b""),
        ("huge", 60_000, 60_000, 8, 2, b""),
    ):
        channels = {0: 1, 2: 3, 3: 1, 6: 4}[colour]
        line = b"\0" + bytes((width * channels * bits + 7) // 8)
        rows = height if name != "huge" else 100
        (shared / f"{name}.png").write_bytes(_png(width, height, bits, colour, line, rows, palette))
    Image.new("RGB", (6000, 4000)).save(shared / "jpeg.jpg", progressive=True)
    Image.new("L", (16_000, 1600)).save(shared / "webp.webp", method=0)
    frames = [Image.new("P", (1500, 1500), number % 256) for number in range(20)]
    frames[0].save(shared / "frames.gif", save_all=True, append_images=frames[1:])
    Image.new("L", (13_000, 4000)).save(shared / "deflate.tif", compression="tiff_adobe_deflate")


def make(rng: random.Random, shared: Path, folder: Path) -> Case:
    """Writes one image and hands it to the catalogue's reader, a processor, `prepare` or FashionIQ's reader."""
    photos = folder / "images"
    good = write_photographs(photos, 3)
    if rng.random() < 0.12:
        return _odd_object(rng)
    name = f"x.{rng.choice(ENDINGS)}"
    ways: list[Callable] = [_damaged, _damaged, _damaged, _exif, _intact, _intact, _disguised, _bomb, _special]
    done = rng.choice(ways)(rng, shared, photos / name)
    call = rng.choice((_reader, _reader, _processor, _processor, _prepare, _fashioniq))
    return Case(f"{call.__name__[1:]}: {name} {done}", lambda: call(folder, name, good))


def _picture(rng: random.Random) -> tuple[str, bytes]:
    kind = rng.choice(sorted(FORMATS))
    mode = rng.choice(FORMATS[kind])
    size = rng.choice(((64, 48), (40, 40), (200, 300), (9, 80), (1, 1), (3, 700)))
    rgba = np.frombuffer(rng.randbytes(4 * size[0] * size[1]), np.uint8).reshape(size[1], size[0], 4)
    image = Image.fromarray(rgba, "RGBA") if rng.random() < 0.5 else Image.new("RGBA", size, "#204080a0")
    if mode in ("I", "F", "I;16"):
        image = Image.fromarray(rgba[..., 0].astype(np.uint16) * 257).convert("I" if mode == "I" else "I;16")
        image = image.convert("F") if mode == "F" else image
    elif mode in ("P", "LAB", "YCbCr", "CMYK", "1", "L", "LA", "RGB"):
        image = image.convert("RGB").convert("LA" if mode == "LA" else mode) if mode != "LAB" else _lab(image)
    options = {}
    if kind == "PNG" and mode in ("RGB", "L", "P") and rng.random() < 0.5:
        options["transparency"] = {"RGB": (32, 64, 128), "L": 10, "P": 0}[mode]
    if kind in ("JPEG", "PNG", "WEBP", "TIFF", "MPO") and rng.random() < 0.4:
        exif = Image.Exif()
        exif[0x0112] = rng.choice((1, 3, 6, 8, 2, 0, 99))
        options["exif"] = exif
    if kind == "JPEG":
        options["progressive"] = rng.random() < 0.3
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"{kind} {mode} {image.size} {sorted(options)}", buffer.getvalue()


def _lab(image: Image.Image) -> Image.Image:
    return Image.frombytes("LAB", image.size, image.convert("RGB").tobytes())


def _intact(rng: random.Random, shared: Path, path: Path) -> str:
    name, content = _picture(rng)
    path.write_bytes(content)
    return name


def _damaged(rng: random.Random, shared: Path, path: Path) -> str:
    name, content = _picture(rng)
    done, content = damage_bytes(rng, content)
    path.write_bytes(content)
    return f"{name}: {done}"


def _exif(rng: random.Random, shared: Path, path: Path) -> str:
    """Writes a JPEG with garbage in its EXIF block."""
    exif = Image.Exif()
    exif[0x0112] = 6
    blocks = {
        "noise": rng.randbytes(rng.choice((3, 60, 5000))),
        "flipped": b"Exif\0\0" + damage_bytes(rng, exif.tobytes()[6:])[1],
        "a loop": b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x8769, 4, 1, 8) + struct.pack("<I", 8),
        "a huge count": b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x0112, 3, 2**32 - 1, 8) + bytes(4),
        "a text": b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHI4s", 1, 0x0112, 2, 4, b"six\0") + bytes(4),
        "a fraction": b"Exif\0\0II*\0\x08\0\0\0"
        + struct.pack("<HHHII", 1, 0x0112, 5, 1, 26)
        + struct.pack("<III", 0, 6, 0),
    }
    name = rng.choice(sorted(blocks))
    kind = rng.choice(("JPEG", "PNG", "WEBP", "TIFF"))
    try:
        Image.new("RGB", (50, 40), "red").save(path, kind, exif=blocks[name])
    except Exception:  # Pillow itself refuses some of them
        Image.new("RGB", (50, 40), "red").save(path, "JPEG", exif=blocks[name])
    return f"{kind} with {name} as EXIF"


def _disguised(rng: random.Random, shared: Path, path: Path) -> str:
    name = rng.choice(sorted(DISGUISES))
    path.write_bytes(DISGUISES[name])
    return f"is {name}"


def _bomb(rng: random.Random, shared: Path, path: Path) -> str:
    bomb = rng.choice(sorted(shared.iterdir()))
    shutil.copy(bomb, path)
    return f"is a bomb ({bomb.name}, {bomb.stat().st_size} bytes)"


def _special(rng: random.Random, shared: Path, path: Path) -> str:
    """Makes something that is no regular file, or a link out of the folder."""
    outside = outside_of(path)
    Image.new("RGB", (40, 40)).save(outside / "private.png")
    way = rng.choice(("fifo", "folder", "link out", "link to the secret", "broken link", "loop", "device", "hidden"))
    replace_file(path, way)
    targets = {"link out": outside / "private.png", "link to the secret": outside / "password.txt"}
    targets |= {"broken link": path.parent / "none"}
    if way == "hidden":
        Image.new("RGB", (40, 40)).save(path, "PNG")
        path.chmod(0)
    elif way in targets:
        path.symlink_to(targets[way])
    return f"is a {way}"


def _check(image: Image.Image) -> None:
    if image.mode != "RGB":
        raise Wrong(f"a photograph of mode {image.mode}")
    if min(image.size) < 1:
        raise Wrong(f"a photograph of {image.size} pixels")


def _check_tensor(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.shape != (3, 32, 32) or not torch.isfinite(tensor).all():
        raise Wrong(f"a tensor of shape {tuple(tensor.shape)}, finite: {bool(torch.isfinite(tensor).all())}")
    return tensor


def _reader(folder: Path, name: str, good: list[str]) -> None:
    """Reads it as training does."""
    image = _read(folder, name, good)
    if min(image.size) >= SMALLEST and max(image.size) <= LONGEST * min(image.size):  # as `prepare` requires
        _check_tensor(FashionImageTrainProcessor(image_size=32, resize=40)(image))


def _read(folder: Path, name: str, good: list[str]) -> Image.Image:
    write_lines(folder / "catalogue.jsonl", catalogue_lines([name, *good], "images"))
    image = read_catalogue(folder)["train"].image(0)
    _check(image)
    return image


def _processor(folder: Path, name: str, good: list[str]) -> None:
    """Opens it with Pillow, as a user does, and compares the tensor with what training sees."""
    path = folder / "images" / name
    if path.is_symlink() or not path.is_file():
        raise UserError("Pillow would open it")
    try:
        Image.init()
        image = Image.open(path, formats=[name for name in Image.ID if name != "EPS"])  # which starts Ghostscript
        image.load()
    except (Exception, Image.DecompressionBombError) as error:
        raise UserError("Pillow cannot open it") from error
    trained = _read(folder, name, good)
    if min(image.size) < SMALLEST or max(image.size) > LONGEST * min(image.size):
        raise UserError("not a photograph of a product")
    process = FashionImageEvalProcessor(image_size=32, resize=40)
    used, expected = _check_tensor(process(image)), _check_tensor(process(trained))
    if max(image.size) <= 512 and (used - expected).abs().mean() > 0.1:
        raise Wrong("the processor sees another picture than the reader")


def _prepare(folder: Path, name: str, good: list[str]) -> None:
    """Puts it into a table, and prepares it with the command."""
    rows = [f"{number},Shirt {number},{image}" for number, image in enumerate([*good, name])]
    (folder / "shop.csv").write_text("\n".join(["id,title,image", *rows]) + "\n")
    main(["prepare", "catalogue", "--table", "shop.csv", "--images", "images", "--out", "out", "--max-bad", "1"])
    files = read_catalogue("out")
    names = {name for file in files.values() for name in file.texts["title"]}
    if not {f"Shirt {number}" for number in range(3)} <= names:
        raise Wrong(f"intact products are missing: {sorted(names)}")
    for file in files.values():
        for row in range(len(file.row_product)):
            _check(file.image(row))


def _fashioniq(folder: Path, name: str, good: list[str]) -> None:
    """Reads it as the reference of a FashionIQ request."""
    write_fashioniq(folder, [name, *good])
    process = FashionImageEvalProcessor(image_size=32, resize=40)
    dataset = FashionIQDataset(folder, "train", process, str)
    _check_tensor(dataset[0]["image"])


def _odd_object(rng: random.Random) -> Case:
    """Hands an image object or an array of an odd mode, size or type to the processor."""
    process = FashionImageEvalProcessor(image_size=32, resize=40)
    if rng.random() < 0.5:
        mode, size = rng.choice(MODES), rng.choice(((40, 40), (1, 1), (1, 500), (64, 30), (0, 5)))
        return Case(f"an image of mode {mode}, {size}", lambda: _check_tensor(process(Image.new(mode, size))))
    shape = rng.choice(((40, 40, 3), (40, 40), (40, 40, 4), (40, 40, 1), (3, 40, 40), (0, 0, 3), (5,), (2, 40, 40, 3)))
    kind = rng.choice(("uint8", "float32", "int64", "bool", "uint16", "complex64", "O", "U3"))
    return Case(f"an array of {kind} {shape}", lambda: _check_tensor(process(np.ones(shape).astype(kind))))


def _png(width: int, height: int, bits: int, colour: int, line: bytes, rows: int, palette: bytes) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    # All bytes are zero, so one compressed block serves for all lines, and Adler's checksum has a closed form.
    compress = zlib.compressobj(9, zlib.DEFLATED, -15)
    lines = max(1, 2_000_000 // len(line))
    block = compress.compress(line * lines) + compress.flush(zlib.Z_FULL_FLUSH)
    data = b"\x78\x01" + block * -(-rows // lines) + b"\x03\x00"
    data += struct.pack(">I", (len(line) * lines * -(-rows // lines) % 65521) << 16 | 1)
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = [
        chunk(b"IHDR", head),
        chunk(b"PLTE", palette) if palette else b"",
        chunk(b"IDAT", data),
        chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
