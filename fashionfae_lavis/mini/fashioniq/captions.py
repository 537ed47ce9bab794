"""Requests in words: two captions, as if by two people, that say what the target has and the reference lacks.

The words for values come from FashionGen-Mini's texts (`fashiongen.words`). Together the two captions name every
change, although one of them may omit one.
"""

import numpy as np

from fashionfae_lavis.mini.fashiongen.descriptions import pick
from fashionfae_lavis.mini.fashiongen.words import ADJECTIVES, NOUNS
from fashionfae_lavis.mini.fashioniq.requests import Request

# Frames for attributes that are named by an adjective. The others are named by a detail of the garment (_DETAILS).
_BY_ADJECTIVE = {
    "colour": ["is {new}", "in {new}", "is {new} instead of {old}", "is {new} not {old}", "more {new}"],
    "pattern": ["is {new}", "more {new}", "is {new} instead of {old}", "is {new} not {old}", "{new} pattern all over"],
    "fabric": ["is made of {new}", "is in {new} not {old}", "made of {new}", "crafted in {new}"],
}
_ADJECTIVES = {
    **{name: ADJECTIVES[name] for name in ("colour", "fabric")},
    # nobody says "is stripe", although shops write "stripe dress"
    "pattern": ADJECTIVES["pattern"] | {value: [value] for value in ("striped", "checked", "floral")},
}
_BY_DETAIL = ["has {new}", "with {new}", "has {new} instead of {old}", "with {new} not {old}"]
_DETAILS = {
    "neckline": {
        **{value: [words[0]] for value, words in NOUNS["neckline"].items()},
        "turtleneck": ["turtleneck", "roll-neck collar"],
    },
    "sleeves": {
        "sleeveless": NOUNS["sleeves"]["sleeveless"],
        **{name: [f"{name} sleeves"] for name in ("short", "long")},
        "quarter": ["three-quarter sleeves"],
    },
    "length": {
        "cropped": ["cropped length", "cropped hem"],
        "regular": ["regular length"],
        "mini": ["mini length", "mini hemline"],
        "knee": ["knee-length hem", "knee length"],
        "maxi": ["maxi length", "maxi hem"],
    },
    "closure": {
        "buttons": ["buttons at front", "button closure"],
        "zip": ["zip at front", "zip closure"],
        "open": ["open front"],
    },
    "trim": {
        "pocket": ["pocket at front", "patch pocket"],
        "contrast": ["contrast trim", "contrast edges"],
        "belt": ["belt at waist", "buckled belt"],
        "ruffle": ["ruffle hem", "ruffled edge"],
    },
}
# Frames for a target without the detail, which name the reference's detail.
_GONE = ["without {old}", "no {old}", "has no {old}"]
_NOTHING_BEFORE = _BY_DETAIL[:2]


def write_captions(request: Request, rng: np.random.Generator) -> list[str]:
    """Writes two different captions."""
    changes = [str(name) for name in rng.permutation(request.changes())]
    while True:
        mentioned = [list(changes), list(changes)]
        if len(changes) == 2 and rng.random() < 0.5:
            # one person notices only one change
            mentioned[int(rng.integers(2))].pop(int(rng.integers(2)))
        captions = [" and ".join(_change(name, request, rng) for name in rng.permutation(names)) for names in mentioned]
        if captions[0] != captions[1]:
            return captions


def _change(name: str, request: Request, rng: np.random.Generator) -> str:
    old, new = request.reference.look()[name], request.target.look()[name]
    words = _ADJECTIVES[name] if name in _ADJECTIVES else _DETAILS[name]
    if name in _ADJECTIVES:
        frames = _BY_ADJECTIVE[name]
    elif new not in words:
        frames = _GONE
    else:
        frames = _BY_DETAIL if old in words else _NOTHING_BEFORE
    named = {key: pick(words[value], rng) for key, value in (("old", old), ("new", new)) if value in words}
    return str(rng.choice(frames)).format(**named)
