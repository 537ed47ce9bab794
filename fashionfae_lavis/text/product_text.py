"""The text of a product, made of a description and attribute prompts (FashionFAE, arXiv 2412.19997).

>>> fields = {"title": "Wool Coat", "description": "Long-sleeved.", "season": "FW2016"}
>>> fashion_text(fields, "description+attributes")
'the image description is wool coat long sleeved [SEP] the image season is fall winter 2016'
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import ModuleType

import numpy as np

from fashionfae_lavis.errors import UserError

FREE_TEXT = ("title", "description")
# FashionGen's attributes. In other datasets, all fields that are not free text are attributes, in the fields' order.
ATTRIBUTES = ("category", "sub category", "gender", "season", "composition")
FIELDS = FREE_TEXT + ATTRIBUTES
# Recognition predicts one of these, so its text omits both.
CLASSES = ("category", "sub category")
TEXT_MODES = ("description", "description+attributes")  # of pre-training and retrieval
MODES = (*TEXT_MODES, "recognition")
SEPARATOR = " [SEP] "

Random = np.random.Generator | ModuleType  # the module `numpy.random` draws from numpy's global generator

_BREAK = re.compile(r"<br\s*/?>")
_DASHES = dict.fromkeys([*range(0x2010, 0x2016), 0x2212, 0xFE58, 0xFE63, 0xFF0D], "-")  # with the minus sign
_LONG_RUN = re.compile(r"([^\w\s]{30})[^\w\s]+")  # NFC takes quadratic time for a long run of combining marks
_POINT_FIRST = re.compile(r"\.(?<![\w.,;:!?)\]]\.)(?=\d)")
_DIGITS = re.compile(r"\d+(?:[.,'\u2019]\d+)*")
_DECIMAL = re.compile(r"\d+(?:[.,]\d+)?")
_THOUSANDS = re.compile(  # 1,000  1,000.50  1.000,50  1.000.000  1'000
    r"[1-9]\d{0,2}(?:(?:,\d{3})+(?:\.\d+)?|(?:\.\d{3})+,\d+|(?:\.\d{3}){2,}|(?:['\u2019]\d{3})+(?:[.,]\d+)?)"
)
# Punctuation separates words, except for a decimal point. The authors' code deletes it, which joins two words.
_SEPARATING = re.compile(r"[/,;:!?]|\.(?!(?<=\d\.)\d)")
_SYMBOLS = re.compile(r"(?:[^\w\s.-]|_)+")
_HYPHEN = re.compile(r"-(?!(?<=^-)\d)(?!(?<=[^\W\d] -)\d)")  # any but a minus sign
_SEASON = re.compile(r"(ss|fw) ?(\d{4})")
_SEASON_NAMES = {"ss": "spring summer", "fw": "fall winter"}


@lru_cache(maxsize=1 << 14)  # the values of attributes recur in every batch
def normalise(text: str) -> str:
    """Normalises a text to lower-case words and numbers.

    `<br>`, dashes, `/` and punctuation become spaces, other symbols are removed. A number keeps its decimal point and,
    at the start of the text or after a word, its minus sign, so that `7.5` and `75` or `-5` and `5` stay different.

    >>> normalise("T-Shirt, 1,000 stitches, 7,5 cm (-5 \u00b0C)")
    't shirt 1000 stitches 7.5 cm -5 c'
    """
    text = _BREAK.sub(" ", text.lower())
    if not text.isascii():
        text = unicodedata.normalize("NFC", _LONG_RUN.sub(r"\1", text)).translate(_DASHES)
    text = _SEPARATING.sub(" ", _DIGITS.sub(_plain_number, _POINT_FIRST.sub("0.", text)))
    text = " ".join(_SYMBOLS.sub(_without_symbols, text).split())
    return " ".join(_HYPHEN.sub(" ", text).split())


def _plain_number(match: re.Match[str]) -> str:
    """Writes a number without thousands separators and with a decimal point; splits dates and other lists.

    `1,000` is a thousand and `7,5` is seven and a half. A single point is a decimal point, also in `1.000`.
    """
    text = match[0]
    if _THOUSANDS.fullmatch(text):
        *digits, last = re.split(r"\D", text)
        decimals = len({*re.sub(r"\d", "", text)}) > 1  # the last separator is another one
        return "".join(digits) + ("." if decimals else "") + last
    return text.replace(",", ".") if _DECIMAL.fullmatch(text) else " ".join(re.split(r"\D", text))


def _without_symbols(match: re.Match[str]) -> str:
    """Removes symbols, but separates two numbers by a space and keeps the marks of letters, such as Hindi's vowels."""
    text, start, end = match.string, match.start(), match.end()
    before, after = text[start - 1 : start], text[end : end + 1]
    if before.isdecimal() and after.isdecimal():
        return " "
    marks = 0
    while before.isalpha() and start + marks < end and unicodedata.category(text[start + marks])[0] == "M":
        marks += 1
    return match[0][:marks]


def expand_season(season: str) -> str:
    """Expands `SS2017` to `spring summer 2017` and `FW2016` to `fall winter 2016`; other values are normalised."""
    text = normalise(season)
    code = _SEASON.fullmatch(text)
    return f"{_SEASON_NAMES[code[1]]} {code[2]}" if code else text


def field_words(fields: Mapping[str, str], name: str) -> list[str]:
    """Returns the normalised words of a field, an empty list if it is empty or missing."""
    value = fields.get(name) or ""
    return (expand_season(value) if name == "season" else normalise(value)).split()


def description_words(fields: Mapping[str, str]) -> list[str]:
    """Returns the words of title and description."""
    return field_words(fields, "title") + field_words(fields, "description")


def attribute_names(fields: Iterable[str]) -> tuple[str, ...]:
    """Returns the names of the attributes among a product's fields, in the order of the fields."""
    return tuple(name for name in fields if name not in FREE_TEXT)


def attribute_words(fields: Mapping[str, str], names: Iterable[str] | None = None) -> dict[str, list[str]]:
    """Returns the words of each attribute that the product has, in the order of the fields.

    Args:
        fields: the product's texts by field name.
        names: fields to return instead of the attributes.
    """
    values = {name: field_words(fields, name) for name in (attribute_names(fields) if names is None else names)}
    return {name: words for name, words in values.items() if words}


def prompt_names(fields: Iterable[str], mode: str) -> tuple[str, ...]:
    """Returns the fields whose prompts follow the description in one of `MODES`; recognition includes the title."""
    if mode == TEXT_MODES[0]:
        return ()
    names = attribute_names(fields)
    return names if mode == TEXT_MODES[1] else ("title", *(name for name in names if name not in CLASSES))


def prompt_template(name: str) -> list[str]:
    """Returns the words before a value: `the image <name> is`."""
    return ["the", "image", *name.split(), "is"]


def shuffled(names: list[str], rng: Random) -> list[str]:
    """Returns the names in random order."""
    return [names[i] for i in rng.permutation(len(names))]


def fashion_text(fields: Mapping[str, str], mode: str, rng: Random | None = None) -> str:
    """Builds a product's text without its empty and missing fields.

    Args:
        fields: the product's texts by field name.
        mode: one of `MODES`. `description` gives `the image description is <title> <description>`.
            `description+attributes` appends ` [SEP] ` and `the image <name> is <value>` for each attribute.
            `recognition` does the same with the title and without category and sub category.
        rng: generator that shuffles the prompts; None keeps the order of `fields`.

    Raises:
        UserError: the mode is unknown.
    """
    if mode not in MODES:
        raise UserError(f"Unknown text mode {mode!r}: use one of {', '.join(MODES)}.")
    text = " ".join(prompt_template("description") + description_words(fields))
    values = attribute_words(fields, prompt_names(fields, mode))
    if not values:
        return text
    order = list(values) if rng is None else shuffled(list(values), rng)
    return text + SEPARATOR + " ".join(" ".join(prompt_template(name) + values[name]) for name in order)
