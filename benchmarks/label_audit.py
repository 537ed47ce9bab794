"""Measures labelling and its audit on held-out products: FashionGen-Mini, or the validation split of a catalogue.

    python benchmarks/label_audit.py                                            # FashionGen-Mini, shipped weights
    python benchmarks/label_audit.py --catalogue DIR --model CHECKPOINT --attributes colour,gender

Prints the figures of each attribute from the photograph alone, and at the end from photograph and text. In between it
makes 200 given values wrong, each replaced by that of another product at random, and audits all values. The audit
calibrates on the products with the wrong values, as it does on a shop's own table.
"""

import argparse
import copy
import time

import numpy as np

from fashionfae_lavis.datasets.datasets.catalogue_file import read_catalogue
from fashionfae_lavis.datasets.protocols import ProductFile
from fashionfae_lavis.reports.labels import labels_table
from fashionfae_lavis.reports.tables import text_table
from fashionfae_lavis.search.encoder import Encoder
from fashionfae_lavis.search.label_audit import audit
from fashionfae_lavis.search.labels import Labeller
from fashionfae_lavis.search.value_scores import Recogniser, ValueScorer, value_words

WRONG = 200
FALSE_ALARMS = (0.5, 1, 2, 5)  # percent of the right values


def fashiongen_mini() -> ProductFile:
    """Returns the validation products of FashionGen-Mini with the attributes that its pictures show."""
    from lavis.datasets.builders import load_dataset

    split = load_dataset("fashiongen_mini")["val"]
    file = copy.copy(split.file)
    file.texts = {**file.texts, **{name: split.extra_attributes[name] for name in split.extra_attributes}}
    return file


def make_wrong(products: ProductFile, names: list[str], seed: int) -> tuple[ProductFile, set[tuple[int, str]]]:
    """Returns a copy with `WRONG` wrong values, and the (product, attribute) of each."""
    rng = np.random.default_rng(seed)
    file = copy.copy(products)
    file.texts = {name: list(column) for name, column in products.texts.items()}
    given = [(i, name) for name in names for i, value in enumerate(products.texts[name]) if value]
    wrong = {given[i] for i in rng.choice(len(given), WRONG, replace=False)}
    for i, name in sorted(wrong):
        own = value_words(name, products.texts[name][i])
        others = [value for value in products.texts[name] if value and value_words(name, value) != own]
        file.texts[name][i] = str(rng.choice(others))
    return file, wrong


def found_at(doubts: list, wrong: set[tuple[int, str]], right: int) -> list[list[str]]:
    """Returns a row for each false-alarm rate: rate, length of the list, and how many wrong values are in it."""
    hits = np.array([(doubt.product, doubt.attribute) in wrong for doubt in doubts])
    alarms = np.cumsum(~hits)
    rows = []
    for rate in FALSE_ALARMS:
        length = int(np.searchsorted(alarms, rate / 100 * right, side="right"))
        rows.append([f"{rate} %", str(length), str(int(hits[:length].sum()))])
    rows.append([f"{100 * alarms[-1] / right:.1f} % (whole list)", str(len(hits)), str(int(hits.sum()))])
    return [*rows, [f"first {WRONG} of the list", str(WRONG), str(int(hits[:WRONG].sum()))]]


def fit_and_print(
    encoder: Encoder,
    heads: dict[str, Recogniser],
    products: ProductFile,
    names: list[str],
    known: dict[str, list[str]],
    text: bool,
) -> None:
    """Prints the figures of each attribute."""
    start = time.perf_counter()
    labeller = Labeller.fit(ValueScorer(encoder, heads, text), products, names, known)
    print("photograph and text" if text else "photograph alone", f"({time.perf_counter() - start:.0f} s)")
    print(labels_table(labeller.figures()), "\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--catalogue")
    parser.add_argument("--model", default="fashionfae")
    parser.add_argument("--attributes", type=lambda text: text.split(","))
    parser.add_argument("--recogniser", action="append", default=[], help="NAME=FILE")
    parser.add_argument("--seed", type=int, default=0, help="of the wrong values")
    args = parser.parse_args()
    splits = read_catalogue(args.catalogue) if args.catalogue else {"val": fashiongen_mini()}
    products = splits["val"]
    names = args.attributes or [name for name in products.texts if name not in ("title", "description")]
    known = {name: [value for file in splits.values() for value in file.texts[name]] for name in names}
    encoder = Encoder.open(args.model)
    heads = {name: Recogniser(name, path) for name, path in (each.split("=") for each in args.recogniser)}
    fit_and_print(encoder, heads, products, names, known, text=False)
    changed, wrong = make_wrong(products, names, args.seed)
    labeller = Labeller.fit(ValueScorer(encoder, heads, text=False), changed, names)
    doubts = audit(labeller, changed)
    right = sum(bool(value) for name in names for value in changed.texts[name]) - len(wrong)
    print(f"{WRONG} wrong values among {right + len(wrong)} of {len(products.product_ids)} products")
    print(text_table(["false alarms", "doubts", "wrong values found"], found_at(doubts, wrong, right)))
    for name in names:
        own = {each for each in wrong if each[1] == name}
        listed = sum((doubt.product, doubt.attribute) in own for doubt in doubts[:WRONG])
        print(f"  {name}: {listed} of {len(own)} are among the first {WRONG}", flush=True)
    fit_and_print(encoder, heads, products, names, known, text=True)


if __name__ == "__main__":
    main()
