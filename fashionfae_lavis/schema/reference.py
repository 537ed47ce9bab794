"""Writing of the tables of settings into docs/configuration.md, between two markers."""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from fashionfae_lavis.files import replacing
from fashionfae_lavis.schema import datasets, models, run
from fashionfae_lavis.schema.fields import Section, describe_conditioned

PAGE = Path("docs/configuration.md")
TABLES = re.compile(r"(<!-- settings -->\n).*(<!-- end settings -->)", re.DOTALL)

# Chapter -> the classes whose own fields make its tables.
CHAPTERS: dict[str, tuple[type[Section], ...]] = {
    "run": (
        *(run.Program, run.Length, run.Data, run.Optimization, run.Pretraining, run.Step),
        *(run.Texts, run.Evaluation, run.SearchRoles, run.OfLavis, run.Written),
    ),
    "model": (
        *(models.Model, models.Pretrained, models.ImageEncoder, models.FashionFAE, models.Bert, models.FusionEncoder),
        *(models.Apir, models.TokenizerSizes, models.Baseline, models.Momentum, models.Blip, models.Albef),
        *(models.AlbefTextEncoder, models.Clip, models.ClipTextEncoder),
    ),
    "datasets": (
        *(datasets.Data, datasets.ImageProcessors, datasets.ImageProcessor, datasets.PhotographProcessor),
        *(
            datasets.TextProcessors,
            datasets.TextProcessor,
            datasets.OtherProcessor,
            datasets.Stored,
            datasets.BuildInfo,
            datasets.Folder,
        ),
        *(datasets.Products, datasets.FashionGen, datasets.FashionVil, datasets.Catalogue, datasets.FashionIQ),
        datasets.Preprocess,
    ),
}


def main(argv: list[str] | None = None) -> None:
    """Runs `python -m fashionfae_lavis.schema`; with `--check` it exits with status 1 if the page is out of date."""
    parser = argparse.ArgumentParser(
        prog="python -m fashionfae_lavis.schema", description=f"Write the tables of settings into {PAGE}."
    )
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a table differs from the code")
    args = parser.parse_args(argv)
    before = PAGE.read_text(encoding="utf-8")
    after = with_tables(before)
    if after == before:
        print(f"{PAGE} agrees with the code.")
    elif args.check:
        print(f"error: {PAGE} differs from fashionfae_lavis/schema/; run `make tables`.", file=sys.stderr)
        sys.exit(1)
    else:
        with replacing(PAGE) as temporary:
            temporary.write_text(after, encoding="utf-8")
        print(f"{PAGE}: written")


def with_tables(text: str) -> str:
    """Returns a page with its tables up to date."""
    chapters = [
        "\n\n".join([f"## {chapter}", *(f"### {kind.__doc__}\n\n{table(kind)}" for kind in kinds)])
        for chapter, kinds in CHAPTERS.items()
    ]
    return TABLES.sub(lambda marks: "\n".join([marks[1], "\n\n".join(chapters), "", marks[2]]), text)


def own_fields(kind: type[Section]) -> dict[str, FieldInfo]:
    """Returns the settings that a class declares itself."""
    return {name: field for name, field in kind.model_fields.items() if name in kind.__annotations__}


def table(kind: type[Section]) -> str:
    """Returns the settings that a class declares itself as a Markdown table."""
    rows = [
        (f"`{name}`", describe_conditioned(field.annotation, field.metadata), default(field), field.description or "")
        for name, field in own_fields(kind).items()
    ]
    lines = [("key", "value", "default", "meaning"), ("---",) * 4, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def default(field: FieldInfo) -> str:
    """Returns a default as yaml, or "required"."""
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    if isinstance(value, Section):
        return "its defaults"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(f'{each:.3g}' if isinstance(each, float) else str(each) for each in value)}]"
    return str(value) or "empty"
