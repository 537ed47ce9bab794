import numpy as np
import pytest
from PIL import Image, ImageFile
from prepare.dirty_shop import half, photograph

from fashionfae_lavis.datasets.datasets.photographs import ENOUGH, ORIENTATION, read_photograph, to_rgb


def test_images_become_upright(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # a quarter turn
    photograph(0, (80, 60)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_photograph(tmp_path / "turned.jpg").size == (60, 80)


def test_a_large_jpeg_is_decoded_at_a_smaller_scale(tmp_path):
    Image.new("RGB", (4 * ENOUGH, 5 * ENOUGH)).save(tmp_path / "large.jpg")
    assert read_photograph(tmp_path / "large.jpg").size == (ENOUGH, 5 * ENOUGH // 4)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "RGB"])
def test_any_mode_becomes_rgb(mode):
    image = Image.new(mode, (4, 4))
    assert to_rgb(image).mode == "RGB" and to_rgb(image).size == (4, 4)


def test_transparent_parts_become_white():
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 255))
    image.paste((255, 0, 0, 0), (0, 0, 4, 2))
    pixels = np.asarray(to_rgb(image))
    assert (pixels[:2] == 255).all() and (pixels[2:] == (255, 0, 0)).all()


def test_sixteen_bits_become_eight(tmp_path):
    ramp = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    assert (np.asarray(read_photograph(tmp_path / "deep.png"))[..., 0] == ramp >> 8).all()


def test_a_truncated_file_is_an_error_whatever_lavis_told_pillow(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    (tmp_path / "half.jpg").write_bytes(half(photograph(1, (600, 800))))
    with pytest.raises(OSError, match="truncated"):
        read_photograph(tmp_path / "half.jpg")
    assert ImageFile.LOAD_TRUNCATED_IMAGES
