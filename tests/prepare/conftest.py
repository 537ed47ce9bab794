import numpy as np
import pytest
from fashiongen_files import write

from fashionfae_lavis.datasets.datasets.fashiongen_file import FILE_NAMES

ROWS = [70, 20, 20, 70, 30, 70, 10, 10]


def column(values):
    return np.array([[value] for value in values])


@pytest.fixture
def fashiongen_root(tmp_path):
    """Products in shuffled rows, ISO-8859-1 and UTF-8, one without composition, one whose rows have different texts."""
    names = {70: "Cr\xe8me dress".encode("iso-8859-1"), 20: "Élan".encode(), 30: b"Shirt", 10: b"Coat"}
    compositions = [b"" if i == 30 else b"100% wool" for i in ROWS]
    seasons = [b"SS2017"] * 7 + [b"FW2016"]
    noise = np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3), dtype=np.uint8)
    write(
        tmp_path / FILE_NAMES["train"],
        ids=ROWS,
        input_image=noise,
        input_name=column([names[i] for i in ROWS]),
        input_composition=column(compositions),
        input_season=column(seasons),
    )
    write(tmp_path / FILE_NAMES["validation"], ids=[5, 5, 20], size=32, input_subcategory=column([b"POLOS"] * 3))
    return tmp_path
