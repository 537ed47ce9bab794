"""Building of the mini model's vocabulary: `python -m fashionfae_lavis.mini.fashiongen.vocabulary`.

Writes `fashionfae_lavis/vocabularies/mini/`, a WordPiece vocabulary in which each word of FashionGen-Mini's training
texts and of the prompts is one piece. Letters and digits are also pieces, at the beginning of a word and inside it, so
that any other text can be encoded.
"""

import json
import string
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.trainers import WordLevelTrainer

from fashionfae_lavis.mini.fashiongen.attributes import sample_products
from fashionfae_lavis.mini.fashiongen.descriptions import fields_of
from fashionfae_lavis.text.product_text import FIELDS, expand_season, fashion_text, prompt_template

FOLDER = Path(__file__).parents[2] / "vocabularies" / "mini"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SEASONS = [f"{half}{year}" for half in ("SS", "FW") for year in (2016, 2017, 2018)]
TRAIN_PRODUCTS = 3000
CONFIG = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512}


def build_vocabulary() -> list[str]:
    """Returns the entries in order: special tokens, letters and digits, then words by decreasing frequency."""
    fields = map(fields_of, sample_products("train", TRAIN_PRODUCTS))
    texts = [fashion_text(field, "description+attributes").replace("[SEP]", "") for field in fields]
    prompts = [" ".join(prompt_template(name)) for name in FIELDS] + [expand_season(season) for season in SEASONS]

    counter = Tokenizer(WordLevel(unk_token="[UNK]"))
    counter.pre_tokenizer = Whitespace()
    counter.train_from_iterator(texts + prompts, WordLevelTrainer(show_progress=False))
    words = sorted(counter.get_vocab(), key=counter.token_to_id)

    characters = list(string.ascii_lowercase + string.digits)
    return list(dict.fromkeys([*SPECIAL, *characters, *(f"##{character}" for character in characters), *words]))


def main() -> None:
    """Writes the vocabulary and its tokenizer configuration."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    entries = build_vocabulary()
    (FOLDER / "vocab.txt").write_text("\n".join(entries) + "\n")
    (FOLDER / "tokenizer_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    print(f"{len(entries)} entries in {FOLDER}")


if __name__ == "__main__":
    main()
