"""Cleaning of the texts in a product table."""

import html
import re
from collections.abc import Iterable

from fashionfae_lavis.text.product_text import normalise

_UNSEEN = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?[a-zA-Z!][^<>]*>")


def plain_text(text: str) -> str:
    """Removes HTML: tags become spaces, entities become characters, spaces are merged. `a < b` does not change."""
    if "<" not in text and "&" not in text:
        return " ".join(text.split())
    text = html.unescape(text)  # before removing tags, because many shops escape them: &lt;p&gt;
    text = _TAG.sub(" ", _UNSEEN.sub(" ", text))
    return " ".join(html.unescape(text).split())


class Spellings:
    """Unified spellings of attribute values: `navy-blue` becomes `Navy Blue` if that came first.

    Attributes:
        known: attribute -> normalised value -> spelling.
        changed: number of cells whose spelling was changed.
    """

    def __init__(self, names: Iterable[str]):
        self.known: dict[str, dict[str, str]] = {name: {} for name in names}
        self.changed = 0
        self._seen: dict[str, dict[str, str]] = {name: {} for name in names}  # attribute -> cell -> spelling

    def of(self, name: str, value: str) -> str:
        """Returns the spelling of this value, "" if it has no letter or digit."""
        spelling = self._seen[name].get(value)
        if spelling is None:
            words = normalise(value)
            spelling = self.known[name].setdefault(words, value) if words else ""
            self._seen[name][value] = spelling
        self.changed += spelling not in ("", value)
        return spelling
