"""A shop's table and photographs with every kind of defect."""

import io

import numpy as np
from PIL import Image

HEADER = "SKU;Name;Text;Photos;Colour;Fabric\n"


def photograph(seed: int, size=(60, 80), mode="RGB") -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.BILINEAR).convert(mode)


def half(image: Image.Image) -> bytes:
    """Returns the first half of a JPEG file."""
    file = io.BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()[: len(file.getvalue()) // 2]


def write_dirty_shop(folder):
    """Writes the table `shop.csv` and the folder `photos`: rows 2-11 are usable, rows 12-22 are not."""
    photos = folder / "photos"
    (photos / "sub").mkdir(parents=True)
    for seed, name in enumerate(
        ("plain.jpg", "front.jpg", "back.jpg", "good.webp", "nine.jpg", "ten.jpg", "sub/x y.jpg")
    ):
        photograph(seed).save(photos / name)
    photograph(10, mode="CMYK").save(photos / "cmyk.jpg")
    # Red with a transparent half, which must not show.
    palette = Image.new("RGBA", (40, 40), (255, 0, 0, 255))
    palette.paste((255, 0, 0, 0), (0, 0, 40, 20))
    palette.quantize().save(photos / "palette.png")
    turned = photograph(11, (80, 60))
    exif = Image.Exif()
    exif[0x0112] = 6  # upright after a quarter turn
    turned.save(photos / "turned.jpg", exif=exif)
    Image.new("RGB", (12_000, 12_000), (120, 30, 60)).save(photos / "huge.jpg", quality=30)
    (photos / "empty.jpg").touch()
    (photos / "half.jpg").write_bytes(half(photograph(12, (600, 800))))
    (photos / "text.jpg").write_text("not an image")
    Image.new("RGB", (1, 1)).save(photos / "pixel.png")
    Image.new("RGB", (12_000, 20)).save(photos / "banner.png")
    rows = [
        'a1;Red dress;"Long, with a ""V"" neck;\nand a belt";plain.jpg;Red;Silk',
        'a2;Two views;"<p>Soft&nbsp;<b>cotton</b> &amp; linen</p><style>p {color: red}</style>"'
        ";front.jpg|back.jpg;navy blue;Cotton",
        "a3;Übergröße;Größe 38 für Café;cmyk.jpg;Navy-Blue;Cotton",  # the row in latin-1
        "a4;Palette;see through;palette.png;;Wool",
        "a5;Turned;upright;turned.jpg;Red;",
        "a6;Huge;poster;huge.jpg;Red;Silk",
        "a7;Webp;of today;good.webp;Red;Silk",
        "a8;One of three;good;nine.jpg|empty.jpg|absent.jpg;Red;Silk",
        "a9;Commas;of two;sub/x y.jpg,ten.jpg;n/a;Silk",
        'a10;JSON;list;"[""ten.jpg""]";Red;Silk',
        "b1;Missing;image;absent.jpg;Red;Silk",
        "b2;Empty;file;empty.jpg;Red;Silk",
        "b3;Half;file;half.jpg;Red;Silk",
        "b4;Text;file;text.jpg;Red;Silk",
        "b5;Pixel;file;pixel.png;Red;Silk",
        "b6;Banner;file;banner.png;Red;Silk",
        "b7;;?!;plain.jpg;Red;Silk",
        "a1;Again;the same id;plain.jpg;Red;Silk",
        ";No id;at all;plain.jpg;Red;Silk",
        "b8;Too few cells;plain.jpg",
        "b9;No image;at all;;Red;Silk",
        "b10;Web;address;https://shop.example/1.jpg;Red;Silk",
    ]
    latin = rows[2].encode("latin-1")
    table = HEADER.encode() + b"\n".join(latin if i == 2 else row.encode() for i, row in enumerate(rows)) + b"\n"
    (folder / "shop.csv").write_bytes(table)
    return folder


OPTIONS = {
    "columns": {"id": "SKU", "title": "Name", "description": "Text", "image": "Photos"},
    "attributes": {"main_colour": "Colour", "Fabric": "Fabric"},
}
