"""Cleaning of the texts in a product table."""

import re
import unicodedata
from collections.abc import Iterable

from lxml import etree

from fashionfae_lavis.text.product_text import field_words

_TAG = re.compile(r"</?[a-zA-Z!][^<>]*>")
# libxml2 searches all open elements for each end tag, which takes quadratic time in deep nesting.
_END_TAG = re.compile(r"</(?!(?:script|style)\b)[a-zA-Z][^<>]*>", re.IGNORECASE)
_NOT_IN_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_UNSEEN = ("script", "style")
# Signs that may change what a value means: those beside digits, and all that are not plain punctuation.
_TELLING = re.compile(r"(?<=\d)[^\w\s](?=\d)|[^\w\s](?=\d)(?<!\w.)|[^\w\s.,;:!?'\"\u2018-\u201f\u2010-\u2015()\[\]/-]")
_FORMULA_STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # also the wide forms of these signs


def plain_text(text: str) -> str:
    """Removes HTML: tags become spaces, entities become characters, spaces are merged. `a < b` does not change."""
    for _ in range(2):  # many shops escape their HTML: &lt;p&gt;
        if _TAG.search(text):
            text = _html_text(text)
        elif "&" in text:
            text = _html_text(text.replace("<", "&lt;"))
    return " ".join(text.split())


def _html_text(page: str) -> str:
    """Returns the visible text of HTML.

    libxml2 reads malformed pages in linear time. Python 3.11.7's html.parser takes 118 s for 200 kB of `<script `.
    """
    parser = etree.HTMLParser(target=_VisibleText(), encoding="utf-8")
    page = _END_TAG.sub(" ", _NOT_IN_XML.sub(" ", page))
    return etree.fromstring(f"<div>{page}</div>".encode(), parser)  # in an element, leading text is kept


class _VisibleText:
    """Target of an lxml parser that collects text outside of scripts and style sheets."""

    def __init__(self):
        self.parts: list[str] = []
        self.unseen = 0  # number of open elements that are not shown

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.unseen += tag in _UNSEEN
        self.parts.append(" ")

    def end(self, tag: str) -> None:
        self.unseen -= tag in _UNSEEN
        self.parts.append(" ")

    def data(self, text: str) -> None:
        if not self.unseen:
            self.parts.append(text)

    def close(self) -> str:
        return "".join(self.parts)


def spreadsheet_cell(text: object) -> str:
    """Returns a cell that a spreadsheet shows as it is: a leading `'` keeps `=1+1` from being a formula."""
    cell = str(text)
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell


def is_utf8(name: str) -> bool:
    """Returns whether a name can be written; Python reads other bytes of file names as lone surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


class Spellings:
    """Unified spellings of attribute values: `navy-blue` becomes `Navy Blue` if that came first.

    Attributes:
        known: attribute -> normalised value -> spelling.
        changed: number of cells whose spelling was changed.
        merged: (attribute, spelling, other spelling) of values that differ in signs which may have a meaning, such as
            `50%` and `50`.
    """

    def __init__(self, names: Iterable[str]):
        self.known: dict[str, dict[str, str]] = {name: {} for name in names}
        self.changed = 0
        self.merged: list[tuple[str, str, str]] = []
        self._seen: dict[str, dict[str, str]] = {name: {} for name in names}  # attribute -> cell -> spelling

    def of(self, name: str, value: str) -> str:
        """Returns the spelling of this value, "" if it has no letter or digit."""
        spelling = self._seen[name].get(value)
        if spelling is None:
            words = " ".join(field_words({name: value}, name))
            spelling = self.known[name].setdefault(words, value) if words else ""
            self._seen[name][value] = spelling
            if spelling and _telling_signs(spelling) != _telling_signs(value):
                self.merged.append((name, spelling, value))
        self.changed += spelling not in ("", value)
        return spelling


def _telling_signs(value: str) -> list[str]:
    return _TELLING.findall(unicodedata.normalize("NFC", value))
