"""A product's fields as one text: description and attribute prompts (FashionFAE, arXiv 2412.19997)."""

import re
from collections.abc import Iterable, Mapping

import numpy as np

from fashionfae_lavis.errors import UserError

FREE_TEXT = ("title", "description")
# FashionGen's. Other data have other attributes: whatever their fields hold beside the free text, in that order.
ATTRIBUTES = ("category", "sub category", "gender", "season", "composition")
FIELDS = FREE_TEXT + ATTRIBUTES
# What recognition asks for; its text names neither of them.
CLASSES = ("category", "sub category")
TEXT_MODES = ("description", "description+attributes")  # of pre-training and retrieval
MODES = (*TEXT_MODES, "recognition")
SEPARATOR = " [SEP] "

# Sentence marks part words, except inside a number; the release deletes them and glues two words together.
_PARTING = re.compile(r"<br\s*/?>|[-/\u2013\u2014]|(?<!\d)[.,;:!?]|[.,;:!?](?!\d)")
_REMOVED = re.compile(r"[^\w\s]|_")
_SEASON = re.compile(r"(ss|fw) ?(\d{4})")
_SEASON_NAMES = {"ss": "spring summer", "fw": "fall winter"}


def normalise(text: str) -> str:
    """Lower-case words with single spaces: `<br>`, dashes and `/` become spaces, punctuation goes."""
    return " ".join(_REMOVED.sub("", _PARTING.sub(" ", text.lower())).split())


def expand_season(season: str) -> str:
    """`SS2017` -> `spring summer 2017`, `FW2016` -> `fall winter 2016`; anything else is only normalised."""
    text = normalise(season)
    code = _SEASON.fullmatch(text)
    return f"{_SEASON_NAMES[code[1]]} {code[2]}" if code else text


def field_words(fields: Mapping[str, str], name: str) -> list[str]:
    """The normalised words of a field, none where it is empty or missing."""
    value = fields.get(name) or ""
    return (expand_season(value) if name == "season" else normalise(value)).split()


def description_words(fields: Mapping[str, str]) -> list[str]:
    """The words of title and description."""
    return field_words(fields, "title") + field_words(fields, "description")


def attribute_names(fields: Iterable[str]) -> tuple[str, ...]:
    """The names of a product's attributes among those of its fields, in their order."""
    return tuple(name for name in fields if name not in FREE_TEXT)


def attribute_words(fields: Mapping[str, str], names: Iterable[str] | None = None) -> dict[str, list[str]]:
    """The words of each of these fields (default: the attributes) that the product has, in their order."""
    values = {name: field_words(fields, name) for name in (attribute_names(fields) if names is None else names)}
    return {name: words for name, words in values.items() if words}


def prompt_names(fields: Iterable[str], mode: str) -> tuple[str, ...]:
    """The fields whose prompts follow the description in one of MODES; that of recognition has the title's, too."""
    if mode == TEXT_MODES[0]:
        return ()
    names = attribute_names(fields)
    return names if mode == TEXT_MODES[1] else ("title", *(name for name in names if name not in CLASSES))


def prompt_template(name: str) -> list[str]:
    """The words before a value: `the image <name> is`."""
    return ["the", "image", *name.split(), "is"]


def shuffled(names: list[str], rng: np.random.Generator) -> list[str]:
    """The names in random order."""
    return [names[i] for i in rng.permutation(len(names))]


def fashion_text(fields: Mapping[str, str], mode: str, rng: np.random.Generator | None = None) -> str:
    """One product's text in one of MODES; empty and missing fields are left out.

    `description`: `the image description is <title> <description>`.
    `description+attributes`: that, ` [SEP] ` and `the image <name> is <value>` for each attribute, in the order of
    `fields` or shuffled by `rng`.
    `recognition`: the same without category and sub category, but with the title (METHOD 4).

    Raises UserError for another mode.
    """
    if mode not in MODES:
        raise UserError(f"unknown text mode {mode!r}: use one of {', '.join(MODES)}")
    text = " ".join(prompt_template("description") + description_words(fields))
    values = attribute_words(fields, prompt_names(fields, mode))
    if not values:
        return text
    order = list(values) if rng is None else shuffled(list(values), rng)
    return text + SEPARATOR + " ".join(" ".join(prompt_template(name) + values[name]) for name in order)
