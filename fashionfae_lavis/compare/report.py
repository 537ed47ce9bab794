"""Output of a comparison: table.md, table.csv, figure.png, and the section of a plan in a report."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from fashionfae_lavis.compare.chart import draw_comparison
from fashionfae_lavis.compare.finished import Row, read_rows
from fashionfae_lavis.compare.jobs import run_plan
from fashionfae_lavis.compare.outcomes import Outcome
from fashionfae_lavis.compare.plan import Plan, read_plan
from fashionfae_lavis.compare.published import published_section
from fashionfae_lavis.compare.table import csv_table, markdown_tables
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import replacing

HEAD = "# Results\n\n`fashionfae compare` generates the marked sections. All other text is written by hand.\n"
READING = (
    "All figures except cost are in percent. Retrieval is the mean of six recalls; the sub-test ranks one product "
    "among 101. Probe figures are means over the attributes that are visible in pictures. Trained parameters are "
    "those that updates have changed. Milliseconds are wall time of training and include the load of other programs. "
    "Brackets give the 95 % interval of a difference when the products are resampled."
)


def compare_plan(
    path: str, seeds: list[int] | None = None, output: str | None = None, catalogue: str | None = None
) -> list[Path]:
    """Runs a plan, then writes its tables, its chart and its section of the report.

    Args:
        path: the plan.
        seeds: seeds to use instead of the plan's.
        output: folder to use instead of the plan's.
        catalogue: prepared catalogue to use instead of the plan's.

    Returns:
        The files written, table.md first.
    """
    plan = read_plan(path, seeds, output, catalogue)
    rows, machines = run_plan(plan)
    command = f"fashionfae compare --cfg-path {path}"
    command += f" --seeds {' '.join(map(str, seeds))}" if seeds is not None else ""
    command += f" --catalogue {catalogue}" if catalogue is not None else ""
    spread = f"; ± gives the standard deviation over these {len(plan.seeds)}" if len(plan.seeds) > 1 else ""
    reading = f"Seeds: {', '.join(map(str, plan.seeds))}{spread}. {READING}"
    measured = "\n".join(f"Measured on {machine}." for machine in machines)
    text = "\n\n".join(
        [f"## {plan.title}", f"`{command}`", reading, measured, markdown_tables(rows, plan.contrasts), _protocols(rows)]
    )
    written = write_tables(rows, plan.title, text, plan.output)
    if plan.report:
        written += write_report(plan.report, plan, text, plan.output / "figure.png")
    return written


def compare_runs(folders: list[str], output: str | None = None) -> list[Path]:
    """Writes the tables and the chart of finished runs; returns the files written, table.md first."""
    rows = read_rows(folders)
    text = "\n\n".join(["## Comparison of runs", READING, markdown_tables(rows), _protocols(rows)])
    return write_tables(rows, "Comparison of runs", text, Path(output or "output/compare/runs"))


def write_tables(rows: Sequence[Row], title: str, text: str, folder: Path) -> list[Path]:
    """Writes table.md with the text, table.csv with all figures, and figure.png; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in (("table.md", text + "\n"), ("table.csv", csv_table(rows))):
        with replacing(folder / name) as temporary:
            temporary.write_text(content, encoding="utf-8")
        written.append(folder / name)
    if draw_comparison(rows, title, folder / "figure.png"):
        written.append(folder / "figure.png")
    return written


def write_report(report: Path, plan: Plan, text: str, chart: Path) -> list[Path]:
    """Writes a plan's section and the published figures into a report, and copies the chart to its folder.

    Args:
        report: the Markdown file, which may not exist yet.
        plan: the plan, whose name is in the section's markers.
        text: the section, which starts with its heading.
        chart: the picture to show below the heading, if it exists.

    Returns:
        The files written.
    """
    report.parent.mkdir(parents=True, exist_ok=True)
    written = [report]
    if chart.exists():
        picture = report.with_name(f"compare_{plan.name}.png")
        shutil.copyfile(chart, picture)
        heading, rest = text.split("\n\n", 1)
        text = f"{heading}\n\n![{plan.title}]({picture.name})\n\n{rest}"
        written.append(picture)
    before = report.read_text(encoding="utf-8") if report.exists() else HEAD
    content = replace_section(before, plan.name, text, report)
    with replacing(report) as temporary:
        temporary.write_text(replace_section(content, "published", published_section(), report), encoding="utf-8")
    return written


def replace_section(content: str, name: str, text: str, path: Path) -> str:
    """Replaces the text between a section's markers; a new section goes to the end, before the published figures.

    Args:
        content: the report.
        name: name in the markers.
        text: the new section.
        path: file of the report, for the error.

    Raises:
        UserError: one of the two markers is missing.
    """
    begin, end = f"<!-- begin {name}: written by fashionfae compare -->", f"<!-- end {name} -->"
    section = f"{begin}\n{text}\n{end}"
    if content.count(begin) != content.count(end) or content.count(begin) > 1:
        raise UserError(f"{path}: the markers `{begin}` and `{end}` do not match: delete both.")
    if begin in content:
        return re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: section, content, flags=re.DOTALL)
    published = content.find("<!-- begin published:")
    position = len(content) if published < 0 else published
    return f"{content[:position].rstrip()}\n\n{section}\n\n{content[position:]}".rstrip() + "\n"


def _protocols(rows: Sequence[Row]) -> str:
    """Lists the protocol of each kind of evaluation."""
    found: dict[str, Outcome] = {outcome.kind: outcome for row in rows for outcome in row.outcomes}
    lines = [
        f"- {kind}: {'; '.join(f'{name} {value}' for name, value in outcome.protocol.items())}"
        for kind, outcome in found.items()
    ]
    return "\n".join(["Protocol, the same for all systems:", "", *lines]) if lines else ""
