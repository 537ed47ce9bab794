"""A small WordPiece vocabulary, in which some words have several pieces."""

import pytest
from transformers import BertTokenizerFast

WORDS = (
    "the image description title is category sub gender season composition"
    " long short dark light black white soft dress shirt dresses maxi red blue wool cotton 100 50 women men"
    " spring summer fall winter 2016 2017 with and a collar button zip belt crew neck knit in pocket sleeve"
)
ENDS = "##less ##s ##ed ##ing ##er ##y"


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
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
