"""The model card of a saved model: its README.md, with the metadata that the Hugging Face hub reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Template
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from fashionfae_lavis.models.hub import ID, LIBRARY

PAPER = "2412.19997"
OURS = f"[FashionFAE](https://arxiv.org/abs/{PAPER}) in LAVIS"
THEIRS = f"[LAVIS](https://github.com/salesforce/LAVIS), trained with {LIBRARY}"
UNKNOWN = "unknown"
CARD = Template("""---
$metadata
---

# $name

A $arch model of $origin, for photographs and texts of fashion products.

## Use

```python
from lavis.models import load_model_and_preprocess

model, image_processors, text_processors = load_model_and_preprocess("$arch", "$place", is_eval=True)
```

It needs the package `$library`. Loading runs no code from this folder.

## Data

$data

## Figures

$figures

## Limits

- It reads images of $side x $side pixels and texts of at most $length word pieces, and cuts longer ones.
- Its vocabulary has $pieces word pieces. It spells other words by shorter pieces, and does not know what they mean.
- It learned how products look and are described in the data above. Measure it on your own products before use.
- It was not made to describe people, and was not tested for fairness to them.

## Licence

$licence
""")


@dataclass(frozen=True)
class Facts:
    """What a model card states beyond the configuration.

    Attributes:
        data: the training data in a sentence.
        figures: name of a figure -> its value, such as {"text to image, R@1": 23.4}.
        licence: the hub's identifier of a licence, such as "cc-by-nc-4.0".
    """

    data: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    licence: str = UNKNOWN


def model_card(config: Mapping[str, Any], pieces: int, name: str, facts: Facts) -> str:
    """Writes the model card of a saved model.

    Args:
        config: the model's configuration, as saved.
        pieces: number of word pieces in its vocabulary.
        name: its hub id, or the name of its folder.
        facts: what else the card states.
    """
    section = config["model"]
    rows = [f"| {figure} | {value:.2f} |" for figure, value in facts.figures.items()]
    return CARD.substitute(
        metadata=_metadata(section["arch"], name, facts),
        name=name,
        place=name if ID.fullmatch(name) else f"path/to/{name}",
        arch=section["arch"],
        origin=OURS if section["arch"].startswith("fashionfae") else THEIRS,
        library=LIBRARY,
        data=facts.data or "The author did not state the training data.",
        figures="\n".join(["| figure | value |", "|---|---:|", *rows]) if rows else "The author stated no figures.",
        side=section["image_size"],
        length=section.get("max_length", section.get("max_txt_len")),
        pieces=f"{pieces:,}",
        licence="The author stated no licence: ask before you use it."
        if facts.licence == UNKNOWN
        else f"Weights: {facts.licence}. The licences of the training data may restrict use further.",
    )


def _metadata(arch: str, name: str, facts: Facts) -> str:
    """Returns the YAML front matter."""
    results = [
        EvalResult(
            task_type="feature-extraction",
            dataset_type="catalogue",
            dataset_name=facts.data or UNKNOWN,
            metric_type=figure,
            metric_value=round(value, 2),
        )
        for figure, value in facts.figures.items()
    ]
    paper = [f"arxiv:{PAPER}"] if arch.startswith("fashionfae") else []
    data = ModelCardData(
        license=facts.licence,
        library_name=LIBRARY,
        tags=["fashion", "vision-language", "lavis", arch, *paper],
        model_name=name if results else None,
        eval_results=results or None,
    )
    return data.to_yaml()
