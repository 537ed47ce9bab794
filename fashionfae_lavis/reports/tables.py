"""Results as plain-text tables."""

RECALLS = ("r1", "r5", "r10")


def text_table(header: list[str], rows: list[list[str]]) -> str:
    """Columns as wide as their longest cell; the first is aligned left, the others right."""
    table = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    table.insert(1, ["-" * width for width in widths])
    return "\n".join("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in table)


def retrieval_table(results: dict) -> str:
    """Table of the recalls in percent, one row for each text mode and protocol, and chance.

    Below a sub-test stands its standard deviation over the draws, below the table the count of its queries that had
    too few negatives.
    """
    header = ["text, protocol"] + [f"{way} R@{k}" for way in ("I2T", "T2I") for k in (1, 5, 10)] + ["mean"]
    rows, sub = [], {}
    for mode, protocols in results.items():
        if not isinstance(protocols, dict) or "full" not in protocols:
            continue
        rows.append([f"{mode}, full test", *_cells(protocols["full"])])
        if "reranked" in protocols:
            best = protocols["reranked"]
            rows.append([f"{mode}, top {best['k_test']} re-ranked by ITM", *_cells(best)])
        sub = protocols["sub"]
        rows.append([f"{mode}, sub-test of 101", *_cells(sub)])
        rows.append(["  standard deviation of the draws", *_cells(sub, "_std")])
    chance = [f"{min(100.0, k * results['chance']):.2f}" for k in (1, 5, 10)] * 2
    rows.append(["chance, full test", *chance, f"{sum(map(float, chance)) / 6:.2f}"])
    table = text_table(header, rows)
    if not sub.get("short_queries"):
        return table
    return f"{table}\n{sub['short_queries']} of {sub['queries']} queries of the sub-test had fewer than 100 negatives."


def _cells(figures: dict, suffix: str = "") -> list[str]:
    names = [f"{way}_{k}" for way in ("i2t", "t2i") for k in RECALLS] + ["mean"]
    return [f"{figures[name + suffix]:.2f}" for name in names]


def composition_table(results: dict) -> str:
    """Table of text-guided retrieval in percent: a row for each kind of query and gallery, columns by garment class."""
    galleries = {"split": "all images", "queried": "queried images"}
    classes = list(results["chance"]["split"])  # with the mean over them
    header = ["query, gallery"] + [f"{name} R@{k}" for name in classes for k in (10, 50)] + ["mean"]
    rows = []
    for query, recalls in results.items():
        for key, title in galleries.items() if isinstance(recalls, dict) else ():
            cells = [recalls[key][name][k] for name in classes for k in ("r10", "r50")]
            rows.append([f"{query}, {title}", *(f"{cell:.2f}" for cell in [*cells, recalls[key]["mean"]["mean"]])])
    return text_table(header, rows)


def grounding_table(report: dict) -> str:
    """Tables of what AETP and APIR read from the other modality; empty where neither was measured."""
    parts = []
    if "aetp" in report:
        rows = [
            [
                name,
                f"{row['right']:.1f}",
                f"{row['shuffled']:.1f}",
                f"{row['right'] - row['shuffled']:+.1f}",
                str(row["places"]),
            ]
            for name, row in report["aetp"].items()
        ]
        parts.append(text_table(["AETP: masked words right, %", "own image", "other image", "gain", "words"], rows))
    if "apir" in report:
        row = report["apir"]
        cells = [f"{row[key]:.1f}" for key in ("right", "shuffled_text", "most_frequent_code")]
        header = ["APIR: masked codes right, %", "own text", "other text", "most frequent code"]
        parts.append(text_table(header, [["all", *cells]]))
    return "\n\n".join(parts)


def recognition_table(results: dict) -> str:
    """Tables of the figures of each class and of all of them, in percent, and what the training split lacks."""
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
        table += f"\nErrors by necessity, as the training split lacks their classes: images of {listed}."
    return table


def attribute_table(results: dict) -> str:
    """Table of the attribute probe in percent, one row for each attribute, with half widths of 95 % intervals."""
    keys = ("itc", "aetp", "aetp_prompt_only", "pairs")
    header = ["attribute, %", "values", "products", "chance", "most frequent", "ITC", "ITC top 5"]
    header += ["AETP, with text", "AETP, prompt only", "pairs (chance 50)", "pairs asked"]
    rows = []
    for name, row in results["attributes"].items():
        itc, *others = (_with_half_width(row.get(key)) for key in keys)
        top = f"{row['itc']['top5']:.1f}" if "top5" in row["itc"] else "-"
        cells = [str(row["values"]), str(row["products"]), f"{row['chance']:.1f}", f"{row['majority']:.1f}", itc, top]
        title = name if row["seen"] else f"{name} (not to be seen)"
        rows.append([title, *cells, *others, str(row["pairs"]["n"]) if "pairs" in row else "-"])
    notes = [f"Left out: {name}, as {reason}." for name, reason in results["left_out"].items()]
    return "\n".join([text_table(header, rows), *notes])


def _with_half_width(figures: dict | None) -> str:
    return f"{figures['accuracy']:.1f} ± {figures['half_width']:.1f}" if figures else "-"


def caption_table(results: dict) -> str:
    """Table of the captions' scores, times 100 as is the custom, with those of the same captions for other images."""
    names = list(results["scores"])
    header = [f"{results['text']}, {results['images']} images", *names]
    rows = [
        [title, *(f"{100 * results[key][name]:.1f}" for name in names)]
        for title, key in (("captions", "scores"), ("the same for other images", "other_image"))
    ]
    return "\n".join([text_table(header, rows), *results["left_out"].values()])
