"""A shop of drawn products with a model that sees their mean colour, for the tests of the server."""

import time
from dataclasses import dataclass, field, replace
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.index import Hit, IndexInfo
from fashionfae_lavis.search.query import Searcher
from fashionfae_lavis.search.where import And, Comparison, Missing, Not, OneOf

COLOURS = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (40, 60, 200), "white": (250, 250, 250)}
KINDS = ("dress", "shirt", "coat")
TITLES = {
    5: "<script>document.title = 'hacked'</script>",
    6: "فستان أحمر طويل",
    7: "Party dress 🎉👗",
    8: 'A & B\'s "coat"',
}


class ColourEncoder:
    """Embeds a photograph as 4 x 4 mean colours, and a text as the colours that it names; counts its forward passes."""

    def __init__(self):
        self.name, self.digest, self.dim = "colours", "0123456789abcdef", 48
        self.device = torch.device("cpu")
        self.composes, self.matches = False, False
        self.adapter = SimpleNamespace(
            locates=True,
            locate=self.locate,
            embeds=True,
            embed_texts=lambda texts: torch.from_numpy(self.embed_texts(texts)),
            predicts_words=False,
        )
        self.passes = []

    def process(self, images):
        """Scales the shorter side to 32 and crops the centre, as the models do; values around 0."""
        rows = []
        for image in images:
            scale = 32 / min(image.size)
            width, height = (max(32, round(side * scale)) for side in image.size)
            left, top = (width - 32) // 2, (height - 32) // 2
            image = image.convert("RGB").resize((width, height)).crop((left, top, left + 32, top + 32))
            rows.append(torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 100 - 1)
        return torch.stack(rows)

    def embed_images(self, images):
        self.passes.append(len(images))
        small = [image.convert("RGB").resize((4, 4), Image.Resampling.BOX) for image in images]
        return _unit(np.stack([np.asarray(image, float).reshape(-1) - 120 for image in small]))

    def embed_processed(self, images):
        small = torch.nn.functional.adaptive_avg_pool2d(100 * images + 100, 4)
        return _unit(small.permute(0, 2, 3, 1).flatten(1).double().numpy() - 120)

    def embed_texts(self, texts):
        self.passes.append(len(texts))
        if any("broken" in text for text in texts):
            raise UserError("The text is broken: write another.")
        tones = [np.mean([COLOURS[w] for w in text.split() if w in COLOURS] or [(130, 130, 130)], 0) for text in texts]
        return _unit(np.tile(np.array(tones) - 120, 16))

    def reads(self, text):
        return any(map(str.isalnum, text))

    def locate(self, images, text_embeds):
        """The brightest of four parts of each image matches most."""
        return torch.nn.functional.adaptive_avg_pool2d(images.mean(1), 2).clamp(min=0)


def _unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@dataclass
class MemoryIndex:
    """An index in memory, without a database."""

    hits: list[Hit]
    columns: dict = field(
        default_factory=lambda: {"title": "text", "colour": "text", "kind": "text", "price": "number"}
    )

    @property
    def info(self):
        return IndexInfo("colours", "0123456789abcdef", 48, self.columns, "memory", "memory", len(self.hits))

    def nearest(self, vector, count, where=None, exclude=()):
        kept = [hit for hit in self._kept(where) if hit.id not in exclude]
        scored = [replace(hit, score=float(hit.vector @ vector)) for hit in kept]
        return sorted(scored, key=lambda hit: (-hit.score, hit.id))[:count]

    def fetch(self, ids):
        by_id = {hit.id: hit for hit in self.hits}
        return [by_id[identifier] for identifier in ids if identifier in by_id]

    def browse(self, where, offset, count):
        return sorted(self._kept(where), key=lambda hit: hit.id)[offset : offset + count]

    def facets(self, columns, where=None):
        counts = {name: {} for name in columns}
        for hit in self._kept(where):
            for name in columns:
                if hit.fields.get(name) is not None:
                    counts[name][hit.fields[name]] = counts[name].get(hit.fields[name], 0) + 1
        return {name: dict(sorted(found.items(), key=lambda pair: -pair[1])) for name, found in counts.items()}

    def _kept(self, where):
        return [hit for hit in self.hits if where is None or _meets(hit.fields, where.condition)]


def _meets(fields, condition):
    match condition:
        case OneOf(column, values):
            return fields.get(column) in values
        case Missing(column):
            return fields.get(column) is None
        case Not(inner):
            return not _meets(fields, inner)
        case And(parts):
            return all(_meets(fields, part) for part in parts)
        case Comparison(column, operator, value):
            given = fields.get(column)
            tests = {"=": "__eq__", "<": "__lt__", ">": "__gt__", "<=": "__le__", ">=": "__ge__", "!=": "__ne__"}
            return given is not None and getattr(given, tests[operator])(value)
    raise AssertionError(condition)


def picture(colour, size=(150, 200), seed=0):
    """A picture of a colour with blocks that differ in tone."""
    tones = np.random.default_rng(seed).uniform(0.5, 1.1, (4, 4, 1))
    blocks = (np.array(colour) * tones).clip(0, 255).astype(np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST)


def encoded(image, kind="JPEG", **options):
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def make_searcher(count=60, encoder=None) -> Searcher:
    """A shop of four colours and three kinds; some titles are awkward, and every tenth product has no price."""
    encoder = encoder or ColourEncoder()
    hits = []
    for number in range(count):
        colour, kind = list(COLOURS)[number % 4], KINDS[number % 3]
        image = picture(COLOURS[colour], seed=number)
        fields = {
            "title": TITLES.get(number, f"{colour.title()} {kind} {number}"),
            "colour": colour,
            "kind": kind,
            "price": None if number % 10 == 9 else 10.0 + number,
        }
        vector = encoder.embed_images([image])[0]
        hits.append(Hit(f"p{number:03d}", 1.0, fields, encoded(image), vector))
    encoder.passes.clear()
    return Searcher(encoder, MemoryIndex(hits))


def when_fitted(client):
    """Waits until the server has fitted its labeller, and returns its client."""
    while client.get("/health").json()["labels"] == "fitting":
        time.sleep(0.01)
    return client
