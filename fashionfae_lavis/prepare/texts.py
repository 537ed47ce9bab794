"""Cells of a product table as clean text."""

import html
import re

from fashionfae_lavis.text.product_text import normalise

_UNSEEN = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?[a-zA-Z!][^<>]*>")


def plain_text(text: str) -> str:
    """Without HTML: tags become spaces, entities their characters; single spaces. `a < b` stays as it is."""
    if "<" not in text and "&" not in text:
        return " ".join(text.split())
    text = html.unescape(text)  # first, as many shops escape their tags: &lt;p&gt;
    text = _TAG.sub(" ", _UNSEEN.sub(" ", text))
    return " ".join(html.unescape(text).split())


class Spellings:
    """One spelling for each value of each attribute, the first: `Navy Blue`, `navy-blue` are one colour.

    Attributes: `known`, attribute -> normalised value -> spelling; `changed`, how many cells were spelled otherwise.
    """

    def __init__(self, names):
        self.known: dict[str, dict[str, str]] = {name: {} for name in names}
        self.changed = 0
        self._seen: dict[str, dict[str, str]] = {name: {} for name in names}  # as they stand in the cells

    def of(self, name: str, value: str) -> str:
        """The spelling of this value; empty where it has no letter or digit."""
        spelling = self._seen[name].get(value)
        if spelling is None:
            words = normalise(value)
            spelling = self.known[name].setdefault(words, value) if words else ""
            self._seen[name][value] = spelling
        self.changed += spelling not in ("", value)
        return spelling
