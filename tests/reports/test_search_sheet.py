import numpy as np
import pytest
from PIL import Image

from fashionfae_lavis.reports.search_sheet import FoundProduct, draw_search_sheet


@pytest.mark.parametrize(("count", "rows"), [(0, 1), (6, 1), (13, 3)])
@pytest.mark.parametrize("photograph", [False, True])
def test_a_sheet_has_a_line_for_six_pictures(tmp_path, count, rows, photograph):
    red = Image.new("RGB", (30, 40), (255, 0, 0))
    found = [FoundProduct(red if number else None, "$ 红色 dress " * 9, 0.5) for number in range(count)]
    blue = Image.new("RGB", (40, 30), (0, 0, 255))
    draw_search_sheet("red dress", blue if photograph else None, found, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).reshape(-1, 3)
        rows += photograph and count == 6
        assert sheet.size[1] == pytest.approx(2.75 * 80 * rows, abs=2)
    assert (pixels == (255, 0, 0)).all(1).any() == (count > 1)
    assert (pixels == (0, 0, 255)).all(1).any() == photograph
