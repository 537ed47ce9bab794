"""Results as plain-text tables."""

from collections.abc import Mapping, Sequence
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


SHOWN = 30  # classes and confusions in a table


def recognition_table(results: Mapping[str, Any]) -> str:
    """Formats recognition in percent: the worst classes, the most frequent confusions, and the figures of all classes.

    Classes without an image are left out. Lines below count the classes that are not shown, and name those that the
    training split lacks.

    Args:
        results: the entry of a split in results.json.
    """
    having = {name: row for name, row in results["per_class"].items() if row["support"]}
    worst = sorted(having.items(), key=lambda item: (item[1]["f1"], item[1]["recall"]))[:SHOWN]
    rows = [
        [name, *(f"{row[key]:.1f}" for key in ("precision", "recall", "f1")), str(row["support"])]
        for name, row in worst
    ]
    parts = [text_table(["class, worst first", "precision", "recall", "F1", "images"], rows)]
    notes = {
        "Better classes, which only results.json lists": len(having) - len(rows),
        "Classes without an image in this split": len(results["per_class"]) - len(having),
    }
    parts[0] += "".join(f"\n{what}: {count}." for what, count in notes.items() if count)
    if results["confusions"]:
        rows = [
            [f"{row['true']} -> {row['predicted']}", str(row["count"]), f"{row['share']:.1f}"]
            for row in results["confusions"]
        ]
        parts.append(text_table(["true class -> predicted class", "images", "% of the true class"], rows))
    title = f"{results['classes']} classes, {results['images']} images"
    rows = [
        [name, f"{row['accuracy']:.2f}", f"{row['macro_f1']:.2f}"]
        for name, row in (("model", results), ("always the most frequent class", results["chance"]))
    ]
    parts.append(text_table([title, "accuracy", "macro-F1"], rows))
    if results["unseen"]:
        listed = ", ".join(f"{name} ({images})" for name, images in results["unseen"].items())
        parts[-1] += f"\nAlways wrong, since the training split lacks their classes: images of {listed}."
    return "\n\n".join(parts)


def search_table(
    pairs: Mapping[str, Mapping[str, float]], mean: Mapping[str, float], products: int, left_out: Sequence[str]
) -> str:
    """Formats short queries in percent: one row per pair of attributes, and their mean.

    Args:
        pairs: pair of attributes -> its figures.
        mean: the mean of the figures.
        products: number of products that are searched.
        left_out: the pairs of attributes without a query.
    """
    header = [f"short queries, {products} products, %", "P@1", "P@5", "P@10", "P@10 at most", "chance", "queries"]
    rows = [
        [name, *(f"{row[key]:.1f}" for key in ("p1", "p5", "p10", "p10_limit", "chance")), f"{row['queries']}"]
        for name, row in (*pairs.items(), ("mean of the pairs", mean))
    ]
    notes = [f"Left out, because too few products share two values: {'; '.join(left_out)}."] if left_out else []
    return "\n".join([text_table(header, rows), *notes])


def benchmark_table(benchmark: Mapping[str, Mapping[str, Any]]) -> str:
    """Formats the queries of the fashion benchmark in percent: one row per kind of query.

    Args:
        benchmark: kind of query -> its figures. The row of text queries has recalls, the others have precisions.
    """
    header = ["benchmark, %", "at 1", "at 10", "average", "MRR", "chance at 1", "queries"]
    rows = []
    for kind, row in benchmark.items():
        letter, name = ("r", "recall") if "r1" in row else ("p", f"precision ({row['attribute']})")
        keys = (f"{letter}1", f"{letter}10", "average", "mrr", "chance")
        rows.append([f"{kind}, {name}", *(f"{row[key]:.1f}" for key in keys), str(row["queries"])])
    return text_table(header, rows)


# The answers of the attribute probe: key, column, and what the model sees in addition to the photograph.
PROBE_COLUMNS = (
    ("itc", "ITC, photo only"),
    ("aetp_prompt_only", "AETP, photo only"),
    ("photo_only", "the better, photo only"),
    ("linear_probe", "linear probe"),
    ("aetp", "AETP, photo + text"),
    ("pairs", "pairs of texts (chance 50)"),
)


def attribute_table(attributes: Mapping[str, Mapping[str, Any]], left_out: Mapping[str, str]) -> str:
    """Formats the attribute probe in percent: one row per attribute, with half widths of 95 % intervals.

    Args:
        attributes: attribute -> its figures.
        left_out: attribute that was skipped -> the reason.
    """
    columns = [(key, title) for key, title in PROBE_COLUMNS if any(key in row for row in attributes.values())]
    header = ["attribute, %", "values", "products", "chance", "most frequent"]
    header += [title for _, title in columns] + ["ITC top 5, photo only", "number of pairs"]
    rows = []
    for name, row in attributes.items():
        title = name if row["seen"] else f"{name} (not visible)"
        cells = [str(row["values"]), str(row["products"]), f"{row['chance']:.1f}", f"{row['majority']:.1f}"]
        cells += [_with_half_width(row.get(key)) for key, _ in columns]
        cells.append(f"{row['itc']['top5']:.1f}" if "top5" in row["itc"] else "-")
        rows.append([title, *cells, str(row["pairs"]["n"]) if "pairs" in row else "-"])
    notes = ["photo only: the model sees the photograph, and no text of the product."]
    if any(key == "aetp" for key, _ in columns):
        notes.append("photo + text: it also reads the rest of the product's text, without the words of the value.")
    notes += [f"Left out: {name}, because {reason}." for name, reason in left_out.items()]
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
