"""No test needs the network, a display, or what another run left in a cache."""

import os

import pytest

# Before anything imports the libraries that read these. Programs started by tests inherit them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# The models of the tests are tiny: more threads only get in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """An empty cache folder for the whole run of pytest."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["FASHIONFAE_CACHE"] = str(folder)
    return folder


# A small WordPiece vocabulary, in which some words have several pieces.
WORDS = (
    "the image description title is category sub gender season composition"
    " long short dark light black white soft dress shirt dresses maxi red blue wool cotton 100 50 women men"
    " spring summer fall winter 2016 2017 with and a collar button zip belt crew neck knit in pocket sleeve"
)
ENDS = "##less ##s ##ed ##ing ##er ##y"


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    from transformers import BertTokenizerFast  # late: most tests need none of it

    letters = [letter for a in "abcdefghijklmnopqrstuvwxyz0123456789" for letter in (a, f"##{a}")]
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "[unused0]",
        *WORDS.split(),
        *ENDS.split(),
        *letters,
    ]
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join(dict.fromkeys(pieces)))
    return BertTokenizerFast(str(path))


@pytest.fixture
def fields():
    return {
        "title": "Long Wool Dress",
        "description": "Sleeveless maxi dress in red wool. Crew neck, with belt and zip pocket.",
        "category": "DRESSES",
        "sub category": "MAXI DRESSES",
        "gender": "Women",
        "season": "FW2016",
        "composition": "100% wool",
    }


def pytest_collection_modifyitems(items):
    """Puts the files with slow tests first, so that no process is left with one of them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
