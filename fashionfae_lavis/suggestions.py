"""Hints for misspelled names in error messages."""

from collections.abc import Iterable
from difflib import get_close_matches

NEAR = 0.8  # similarity from which an unknown name is taken for a misspelling of a known one


def nearest(name: object, known: Iterable[str]) -> str | None:
    """Returns the known name that `name` probably misspells, or None.

    >>> nearest("max_iter", ["max_iters", "min_lr"]), nearest("max_words", ["max_iters", "min_lr"])
    ('max_iters', None)
    """
    return next(iter(get_close_matches(str(name), list(known), 1, NEAR)), None)


def hint(name: object, known: Iterable[str]) -> str:
    """Returns the end of a sentence about an unknown name: the name it misspells, similar names, or all known ones.

    >>> hint("fashionfea", ["fashionfae", "blip"])
    'did you mean fashionfae?'
    >>> hint("x", ["fashionfae", "blip"])
    'known are fashionfae, blip.'
    >>> hint("x", [])
    'there are none.'
    """
    known = list(known)
    if not known:
        return "there are none."
    meant = nearest(name, known)
    close = [meant] if meant else get_close_matches(str(name), known)
    return f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(known)}."
