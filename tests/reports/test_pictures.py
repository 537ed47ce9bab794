import warnings

import numpy as np
import pytest
from full_disk import full_disk
from PIL import Image

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.reports.composition_sheet import ComposedQuery, draw_composition_sheet
from fashionfae_lavis.reports.confusion import draw_confusion
from fashionfae_lavis.reports.pictures import optional_picture, pyplot, save_picture
from fashionfae_lavis.reports.retrieval_sheet import RetrievedProduct, draw_retrieval_sheet
from fashionfae_lavis.runners.curves import draw_curves

IMAGE = np.zeros((8, 8, 3), np.uint8)


@pytest.mark.parametrize("images", [0, 1, 4])
@pytest.mark.parametrize("lines", [1, 2])
def test_few_images_fill_part_of_a_sheet(tmp_path, images, lines):
    found = [(IMAGE, True)] * images
    draw_retrieval_sheet([RetrievedProduct(IMAGE, "a text", [("a title", True)], found)] * lines, tmp_path / "a.png")
    draw_composition_sheet([ComposedQuery(IMAGE, IMAGE, "a text", found)] * lines, tmp_path / "b.png")
    assert {Image.open(path).size for path in tmp_path.iterdir()} == {(1360, 220 * lines)}


@pytest.mark.parametrize("text", ["from $10 to $20", "$\\frac$", "連衣裙", "a_{b", "50 %"])
def test_a_text_is_shown_as_it_is(tmp_path, text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_retrieval_sheet([RetrievedProduct(IMAGE, text, [(text, True)], [])], tmp_path / "a.png")
        draw_confusion([text, "other"], np.eye(2, dtype=int), tmp_path / "b.png")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_full_disk_leaves_no_half_of_a_picture(tmp_path):
    plt = pyplot()
    before = plt.get_fignums()
    with full_disk("a.png"), pytest.raises(UserError, match="Cannot write .*a.png .No space left"):
        save_picture(plt.figure(), tmp_path / "a.png")
    assert plt.get_fignums() == before and list(tmp_path.iterdir()) == []


def test_a_picture_is_optional(caplog):
    with optional_picture("A chart"):
        raise ValueError("no\nfont")
    assert [record.getMessage() for record in caplog.records] == [
        "A chart could not be drawn, which changes no result: no font"
    ]


def test_curves_are_optional(tmp_path, caplog):
    (tmp_path / "metrics.jsonl").mkdir()
    draw_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png")
    assert "curves.png could not be drawn" in caplog.text
