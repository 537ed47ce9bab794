"""Writing a comparison: table.md, table.csv and figure.png, and a plan's own section of a report."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from fashionfae_lavis.checkpoints import replacing
from fashionfae_lavis.compare.figure import draw_comparison
from fashionfae_lavis.compare.finished import Row, rows_of
from fashionfae_lavis.compare.jobs import run_plan
from fashionfae_lavis.compare.outcomes import Outcome
from fashionfae_lavis.compare.plan import Plan, read_plan
from fashionfae_lavis.compare.published import published_block
from fashionfae_lavis.compare.table import csv_table, markdown_tables
from fashionfae_lavis.errors import UserError

HEAD = "# Results\n\nEach section is written by the command that it names; what is written by hand stays.\n"
READING = (
    "Percent, except for cost; retrieval is the mean of six recalls, the sub-test ranks 1 of 101, the probe's figures "
    "are means over the attributes that a picture shows. Parameters trained are those that an update has changed; "
    "milliseconds are wall time of training, whatever else the machine did."
)


def compare_plan(path: str, seeds: list[int] | None = None, output: str | None = None) -> list[Path]:
    """`fashionfae compare --cfg-path`: run a plan, write its tables and its section of the report.

    Returns:
        the files written.
    """
    plan = read_plan(path, seeds, output)
    rows, machines = run_plan(plan)
    command = f"fashionfae compare --cfg-path {path}"
    command += f" --seeds {' '.join(map(str, seeds))}" if seeds is not None else ""
    many = f"; ± is their standard deviation over {len(plan.seeds)} seeds" if len(plan.seeds) > 1 else ""
    seeds = f"Seeds: {', '.join(map(str, plan.seeds))}{many}. {READING}"
    where = "\n".join(f"Measured on {machine}." for machine in machines)
    text = "\n\n".join([f"## {plan.title}", f"`{command}`", seeds, where, markdown_tables(rows), _protocols(rows)])
    written = write_tables(rows, plan.title, text, plan.output)
    if plan.report:
        written += write_report(plan, text, plan.output / "figure.png")
    return written


def compare_runs(folders: list[str], output: str | None = None) -> list[Path]:
    """`fashionfae compare RUN ...`: tables of finished runs; returns the files written."""
    rows = rows_of(folders)
    text = "\n\n".join(["## Comparison of runs", READING, markdown_tables(rows), _protocols(rows)])
    return write_tables(rows, "Comparison of runs", text, Path(output or "output/compare/runs"))


def write_tables(rows: Sequence[Row], title: str, text: str, folder: Path) -> list[Path]:
    """table.md with this text, table.csv with all figures, figure.png; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in (("table.md", text + "\n"), ("table.csv", csv_table(rows))):
        with replacing(folder / name) as temporary:
            temporary.write_text(content, encoding="utf-8")
        written.append(folder / name)
    if draw_comparison(rows, title, folder / "figure.png"):
        written.append(folder / "figure.png")
    return written


def write_report(plan: Plan, text: str, figure: Path) -> list[Path]:
    """Write a plan's section into its report, with its picture beside, and the section of published figures."""
    plan.report.parent.mkdir(parents=True, exist_ok=True)
    written = [plan.report]
    if figure.exists():
        picture = plan.report.with_name(f"compare_{plan.name}.png")
        shutil.copyfile(figure, picture)
        head, rest = text.split("\n\n", 1)
        text = f"{head}\n\n![{plan.title}]({picture.name})\n\n{rest}"
        written.append(picture)
    before = plan.report.read_text(encoding="utf-8") if plan.report.exists() else HEAD
    content = with_block(before, plan.name, text, plan.report)
    with replacing(plan.report) as temporary:
        temporary.write_text(with_block(content, "published", published_block(), plan.report), encoding="utf-8")
    return written


def with_block(content: str, name: str, text: str, path: Path) -> str:
    """The report with the text between the marks of this name; new marks go to its end, before what is published.

    Raises:
        UserError: only one of the two marks is there.
    """
    begin, end = f"<!-- begin {name}: written by fashionfae compare -->", f"<!-- end {name} -->"
    block = f"{begin}\n{text}\n{end}"
    if content.count(begin) != content.count(end) or content.count(begin) > 1:
        raise UserError(f"{path}: the marks `{begin}` and `{end}` do not belong together: delete them both.")
    if begin in content:
        return re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: block, content, flags=re.DOTALL)
    published = content.find("<!-- begin published:")
    place = len(content) if published < 0 else published
    return f"{content[:place].rstrip()}\n\n{block}\n\n{content[place:]}".rstrip() + "\n"


def _protocols(rows: Sequence[Row]) -> str:
    """By which protocol each kind was measured, the same for all rows."""
    found: dict[str, Outcome] = {one.kind: one for row in rows for one in row.outcomes}
    lines = [
        f"- {kind}: {'; '.join(f'{what} {value}' for what, value in one.protocol.items())}"
        for kind, one in found.items()
    ]
    if not lines:
        return ""
    return "\n".join(["Protocol, equal in all systems:", "", *lines])
