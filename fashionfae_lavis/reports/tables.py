"""Results as plain-text tables."""

from collections.abc import Mapping
from typing import Any

RECALLS = ("r1", "r5", "r10")


def text_table(header: list[str], rows: list[list[str]]) -> str:
    """Lays out a table with columns as wide as their longest cell, the first aligned left, the others right."""
    table = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    table.insert(1, ["-" * width for width in widths])
    return "\n".join("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in table)


def retrieval_table(
    recalls: Mapping[str, Mapping[str, Any]], chance: float, equal_texts: Mapping[str, Mapping[str, Any]]
) -> str:
    """Formats retrieval in percent: one row per text mode and protocol, and a row for chance.

    The row below a sub-test has its standard deviation over the draws. Rows with equal texts as equal answers follow
    where products share a text. Lines below the table count these products, and the queries with too few negatives.

    Args:
        recalls: text mode -> "full", "sub" and, if measured, "reranked".
        chance: R@1 of guessing on the full test.
        equal_texts: the same with equal texts as equal answers, and "products" and "shared_products" of each mode.
    """
    header = ["text, protocol"] + [f"{way} R@{k}" for way in ("I2T", "T2I") for k in (1, 5, 10)] + ["mean"]
    rows = []
    for mode, protocols in recalls.items():
        rows += _protocol_rows(mode, protocols)
        sub, equal = protocols["sub"], equal_texts[mode]
        if equal["shared_products"]:
            rows += _protocol_rows(f"{mode}, equal texts", equal)
    guessed = [f"{min(100.0, k * chance):.2f}" for k in (1, 5, 10)] * 2
    rows.append(["chance, full test", *guessed, f"{sum(map(float, guessed)) / 6:.2f}"])
    shared = [(mode, equal["shared_products"], equal["products"]) for mode, equal in equal_texts.items()]
    counts = ", ".join(f"{some} of {products} ({mode})" for mode, some, products in shared)
    lines = [text_table(header, rows), f"Products that share their text with another product: {counts}."]
    if any(some for _, some, _ in shared):
        lines.append('In the rows "equal texts" all products with the same text are right, elsewhere only one is.')
    if sub["short_queries"]:
        lines.append(
            f"{sub['short_queries']} of {sub['queries']} queries of the sub-test had fewer than 100 negatives."
        )
    return "\n".join(lines)


def _protocol_rows(title: str, protocols: Mapping[str, Any]) -> list[list[str]]:
    """Returns the rows of one text mode."""
    rows = [[f"{title}, full test", *_cells(protocols["full"])]]
    if "reranked" in protocols:
        best = protocols["reranked"]
        rows.append([f"{title}, top {best['k_test']} re-ranked by ITM", *_cells(best)])
    rows.append([f"{title}, sub-test of 101", *_cells(protocols["sub"])])
    return [*rows, ["  standard deviation of the draws", *_cells(protocols["sub"], "_std")]]


def _cells(figures: Mapping[str, float], suffix: str = "") -> list[str]:
    names = [f"{way}_{k}" for way in ("i2t", "t2i") for k in RECALLS] + ["mean"]
    return [f"{figures[name + suffix]:.2f}" for name in names]


def composition_table(recalls: Mapping[str, Mapping[str, Any]]) -> str:
    """Formats text-guided retrieval in percent: a row for each query and gallery, columns by garment class.

    Args:
        recalls: query (or "chance") -> gallery -> class -> recalls.
    """
    galleries = {"split": "all images", "queried": "queried images"}
    classes = list(recalls["chance"]["split"])  # with the mean over them
    header = ["query, gallery"] + [f"{name} R@{k}" for name in classes for k in (10, 50)] + ["mean"]
    rows = []
    for query, found in recalls.items():
        for key, title in galleries.items():
            cells = [found[key][name][k] for name in classes for k in ("r10", "r50")]
            rows.append([f"{query}, {title}", *(f"{cell:.2f}" for cell in [*cells, found[key]["mean"]["mean"]])])
    return text_table(header, rows)


def grounding_table(grounding: Mapping[str, Any]) -> str:
    """Formats how much AETP gains from the image and APIR from the text; empty if neither was measured."""
    parts = []
    if "aetp" in grounding:
        rows = [
            [
                name,
                f"{row['right']:.1f}",
                f"{row['shuffled']:.1f}",
                f"{row['right'] - row['shuffled']:+.1f}",
                str(row["places"]),
            ]
            for name, row in grounding["aetp"].items()
        ]
        parts.append(
            text_table(["AETP: accuracy of masked words, %", "own image", "other image", "gain", "words"], rows)
        )
    if "apir" in grounding:
        row = grounding["apir"]
        cells = [f"{row[key]:.1f}" for key in ("right", "shuffled_text", "most_frequent_code")]
        header = ["APIR: accuracy of masked codes, %", "own text", "other text", "most frequent code"]
        parts.append(text_table(header, [["all", *cells]]))
    return "\n\n".join(parts)


def recognition_table(results: Mapping[str, Any]) -> str:
    """Formats the figures of each class and of all classes, in percent, and classes missing from the training split.

    Args:
        results: the entry of a split in results.json.
    """
    rows = [
        [name, *(f"{row[key]:.1f}" for key in ("precision", "recall", "f1")), str(row["support"])]
        for name, row in results["per_class"].items()
    ]
    per_class = text_table(["class", "precision", "recall", "F1", "images"], rows)
    title = f"{results['classes']} classes, {results['images']} images"
    rows = [
        [name, f"{row['accuracy']:.2f}", f"{row['macro_f1']:.2f}"]
        for name, row in (("model", results), ("always the most frequent class", results["chance"]))
    ]
    table = f"{per_class}\n\n{text_table([title, 'accuracy', 'macro-F1'], rows)}"
    if results["unseen"]:
        listed = ", ".join(f"{name} ({images})" for name, images in results["unseen"].items())
        table += f"\nAlways wrong, since the training split lacks their classes: images of {listed}."
    return table


def attribute_table(attributes: Mapping[str, Mapping[str, Any]], left_out: Mapping[str, str]) -> str:
    """Formats the attribute probe in percent: one row per attribute, with half widths of 95 % intervals.

    Args:
        attributes: attribute -> its figures.
        left_out: attribute that was skipped -> the reason.
    """
    keys = ("itc", "aetp", "aetp_prompt_only", "pairs")
    header = ["attribute, %", "values", "products", "chance", "most frequent", "ITC", "ITC top 5"]
    header += ["AETP, with text", "AETP, prompt only", "pairs (chance 50)", "number of pairs"]
    rows = []
    for name, row in attributes.items():
        itc, *others = (_with_half_width(row.get(key)) for key in keys)
        top = f"{row['itc']['top5']:.1f}" if "top5" in row["itc"] else "-"
        cells = [str(row["values"]), str(row["products"]), f"{row['chance']:.1f}", f"{row['majority']:.1f}", itc, top]
        title = name if row["seen"] else f"{name} (not visible)"
        rows.append([title, *cells, *others, str(row["pairs"]["n"]) if "pairs" in row else "-"])
    notes = [f"Left out: {name}, because {reason}." for name, reason in left_out.items()]
    return "\n".join([text_table(header, rows), *notes])


def _with_half_width(figures: Mapping[str, float] | None) -> str:
    return f"{figures['accuracy']:.1f} ± {figures['half_width']:.1f}" if figures else "-"


def caption_table(results: Mapping[str, Any]) -> str:
    """Formats the scores of the captions, times 100 as usual, and of the same captions for other images.

    Args:
        results: the entry of a split in results.json.
    """
    names = list(results["scores"])
    header = [f"{results['text']}, {results['images']} images", *names]
    rows = [
        [title, *(f"{100 * results[key][name]:.1f}" for name in names)]
        for title, key in (("captions", "scores"), ("the same captions, other images", "other_image"))
    ]
    return "\n".join([text_table(header, rows), *results["left_out"].values()])
