"""Figures that papers report on FashionGen. They are quoted in the report, not measured here."""

from fashionfae_lavis.compare.table import markdown_table

# Sub-test: image to text R@1, 5, 10, text to image R@1, 5, 10, their mean.
RETRIEVAL = {
    "Kaleido-BERT": ("27.99 60.09 68.37 33.88 60.60 68.59 53.25", "FAME-ViL paper, table 1"),
    "MVLT": ("33.10 77.20 91.10 34.60 78.00 89.50 67.25", "FAME-ViL paper, table 1"),
    "FashionViL": ("65.54 91.34 96.30 61.88 87.32 93.22 82.60", "FAME-ViL paper, table 1"),
    "FAME-ViL": ("65.94 91.92 97.22 62.86 87.38 93.52 83.14", "FAME-ViL paper, table 1"),
    "UniFashion": ("71.44 93.79 97.51 71.41 93.69 97.47 87.55", "UniFashion paper, table 1"),
}
# Subcategory: accuracy, macro-F1.
RECOGNITION = {
    "Kaleido-BERT": "88.07 63.60",
    "MVLT": "93.57 82.86",
    "FashionViL": "92.23 83.02",
    "FashionViL (ViT)": "94.01 85.77",
    "FAME-ViL": "94.67 88.21",
}


def published_section() -> str:
    """Returns the section of the report in Markdown."""
    header = ["FashionGen, sub-test", *(f"{way} R@{k}" for way in ("I2T", "T2I") for k in (1, 5, 10)), "mean", "source"]
    retrieval = [[system, *numbers.split(), source] for system, (numbers, source) in RETRIEVAL.items()]
    recognition = [[system, *numbers.split()] for system, numbers in RECOGNITION.items()]
    return "\n\n".join(
        [
            "## Published figures (not measured here)",
            "The papers report these figures on FashionGen itself, for models and pre-training of a different size. "
            "They cannot be compared with the results above, which were measured on other data. For FashionFAE we know "
            "only the gains over the best earlier work: on average 2.9 % in retrieval on the sub-test, 5.2 % on the "
            "full test, and 1.6 % in recognition.",
            markdown_table(header, retrieval),
            markdown_table(["FashionGen, subcategory", "accuracy", "macro-F1"], recognition),
        ]
    )
