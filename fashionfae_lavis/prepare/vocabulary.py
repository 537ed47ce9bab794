"""The WordPiece vocabulary of a catalogue, made from the texts of its training products."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase, digits

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.trainers import WordPieceTrainer

from fashionfae_lavis.files import make_folder, replacing
from fashionfae_lavis.text.product_text import SEPARATOR, TEXT_MODES, description_words, fashion_text

FOLDER = "vocabulary"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LARGEST = 30_000  # pieces, about as many as BERT has
MOST_CHARACTERS = 5_000
CONFIG = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512}


@dataclass(frozen=True)
class TextLengths:
    """Lengths of a catalogue's texts in word pieces.

    Attributes:
        vocabulary: number of word pieces in the vocabulary.
        per_word: mean number of pieces of a word of titles and descriptions, 0 without any word.
        mean, longest: pieces of a product's whole text, with [CLS] and [SEP].
        cut: share of products (0..1) whose text is longer than `max_length`.
        max_length: pieces that the model reads.
    """

    vocabulary: int
    per_word: float
    mean: float
    longest: int
    cut: float
    max_length: int


def word_counts(texts: Iterable[str]) -> Counter[str]:
    """Counts the words of normalised texts as BERT's tokenizer splits them."""
    normalizer, splitter = BertNormalizer(lowercase=True), BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text.split())
    split: Counter[str] = Counter()
    for word, times in counts.items():
        for part, _ in splitter.pre_tokenize_str(normalizer.normalize_str(word)):
            split[part] += times
    return split


def train_vocabulary(counts: Counter[str], largest: int = LARGEST) -> list[str]:
    """Builds a WordPiece vocabulary; the same counts give the same pieces in the same order.

    Sequences of letters that occur at least twice become pieces, up to `largest` pieces, so the size follows from the
    texts. All English letters and digits are pieces, so any English word can be spelled.

    Args:
        counts: word -> how often it occurs.
        largest: maximum number of pieces.
    """
    letters: Counter[str] = Counter()
    for word, times in counts.items():
        for letter in word:
            letters[letter] += times
    common = [letter for letter, _ in sorted(letters.items(), key=lambda item: (-item[1], item[0]))[:MOST_CHARACTERS]]
    alphabet = sorted({*common, *ascii_lowercase, *digits})
    # The trainer numbers letters inside words in random order, and the numbers decide between equally frequent pairs.
    # Naming the letters as special pieces fixes their order.
    first = [*SPECIAL, *alphabet, *(f"##{letter}" for letter in alphabet)]
    tokenizer = _tokenizer()
    trainer = WordPieceTrainer(
        vocab_size=max(largest, len(first)), min_frequency=2, special_tokens=first, show_progress=False
    )
    tokenizer.train_from_iterator(_repeated(counts), trainer)
    vocabulary = tokenizer.get_vocab()
    return sorted(vocabulary, key=vocabulary.__getitem__)


def _repeated(counts: Counter[str]) -> Iterator[str]:
    for word, times in sorted(counts.items()):
        yield " ".join([word] * times)


def catalogue_texts(index: Path) -> Iterator[tuple[str, str]]:
    """Yields the words of title and description, and the whole text, of each training product of a catalogue.

    If the catalogue has no training products, yields those of all products.
    """
    with open(index, encoding="utf-8") as lines:
        trains = "train" in json.loads(next(lines))["products"]
        for product in map(json.loads, lines):
            if not trains or product["split"] == "train":
                fields = {"title": product["title"], "description": product["description"], **product["fields"]}
                yield " ".join(description_words(fields)), fashion_text(fields, TEXT_MODES[1])


def write_vocabulary(index: Path, folder: Path, name: str | None = None) -> Tokenizer:
    """Writes the vocabulary of a catalogue and opens it.

    Args:
        index: the catalogue's index.
        folder: folder to write.
        name: a vocabulary to copy, see `load_tokenizer`; None makes one from the texts.

    Raises:
        UserError: the vocabulary cannot be read, or the folder cannot be written.
    """
    if name is not None:
        from fashionfae_lavis.models.vocabulary import load_tokenizer  # imports torch, which takes seconds

        known = load_tokenizer(name)
        known.save_pretrained(folder)
        return known.backend_tokenizer
    pieces = train_vocabulary(word_counts(text.replace(SEPARATOR, " ") for _, text in catalogue_texts(index)))
    make_folder(folder)
    contents = {"vocab.txt": "\n".join(pieces) + "\n", "tokenizer_config.json": json.dumps(CONFIG, indent=2) + "\n"}
    for file, content in contents.items():
        with replacing(folder / file) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return _tokenizer({piece: number for number, piece in enumerate(pieces)})


def _tokenizer(vocabulary: dict[str, int] | None = None) -> Tokenizer:
    """Builds BERT's uncased tokenizer, which adds no special pieces."""
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer


def measure_texts(index: Path, tokenizer: Tokenizer, max_length: int) -> TextLengths:
    """Measures the texts of a catalogue's training products in word pieces.

    Args:
        index: the catalogue's index.
        tokenizer: the vocabulary.
        max_length: pieces that the model reads.
    """
    words = pieces = cut = 0
    lengths = []
    for description, text in catalogue_texts(index):
        words += len(description.split())
        pieces += len(tokenizer.encode(description, add_special_tokens=False).ids)
        parts = text.split(SEPARATOR)
        lengths.append(1 + sum(len(tokenizer.encode(part, add_special_tokens=False).ids) + 1 for part in parts))
        cut += lengths[-1] > max_length
    return TextLengths(
        vocabulary=tokenizer.get_vocab_size(),
        per_word=pieces / max(words, 1),
        mean=float(np.mean(lengths)),
        longest=max(lengths),
        cut=cut / len(lengths),
        max_length=max_length,
    )
