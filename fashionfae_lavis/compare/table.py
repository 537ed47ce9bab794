"""Rows of a comparison as Markdown and CSV: mean and spread over the seeds, who is ahead and by how much."""

import csv
import io
import re
import statistics
from collections.abc import Sequence

from fashionfae_lavis.compare.finished import Row
from fashionfae_lavis.text.product_text import TEXT_MODES

COST = {
    "parameters": "parameters trained",
    "updates": "updates",
    "samples": "samples seen",
    "milliseconds": "ms a sample",
}
# What systems are judged by, in percent.
MAIN = {
    **{f"retrieval.{mode}.full.mean": f"retrieval, {mode}" for mode in TEXT_MODES},
    **{f"retrieval.{mode}.sub.mean": f"sub-test, {mode}" for mode in TEXT_MODES},
    "recognition.accuracy": "recognition, accuracy",
    "recognition.macro_f1": "recognition, macro-F1",
    "probe.pairs": "probe, pairs",
    "probe.values": "probe, values",
}
RECALLS = {f"{way.lower()}_r{k}": f"{way} R@{k}" for way in ("I2T", "T2I") for k in (1, 5, 10)} | {"mean": "mean"}


def of_systems(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """System -> its rows, one for each seed, in their order."""
    systems: dict[str, list[Row]] = {}
    for row in rows:
        systems.setdefault(row.system, []).append(row)
    return systems


def values(rows: Sequence[Row], name: str) -> list[float]:
    """The figure of this name in each of the rows that has it."""
    return [row.figures[name] for row in rows if name in row.figures]


def spread(numbers: Sequence[float]) -> float | None:
    """Standard deviation of the population that the numbers are a sample of (n - 1); None for fewer than two."""
    return statistics.stdev(numbers) if len(numbers) > 1 else None


def paired(first: Sequence[Row], second: Sequence[Row], name: str) -> list[float]:
    """The first system's figure minus the second's, for each seed that both have."""
    other = {row.seed: row.figures[name] for row in second if name in row.figures}
    return [row.figures[name] - other[row.seed] for row in first if name in row.figures and row.seed in other]


def csv_table(rows: Sequence[Row]) -> str:
    """All figures: a line for each system and seed, then each system's mean and standard deviation."""
    names = _names(rows)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["system", "seed", *names])
    for system, own in of_systems(rows).items():
        for row in own:
            writer.writerow([system, "" if row.seed is None else row.seed, *(row.figures.get(name) for name in names)])
        if len(own) > 1:
            found = [values(own, name) for name in names]
            writer.writerow([system, "mean", *(statistics.fmean(one) if one else None for one in found)])
            writer.writerow([system, "standard deviation", *map(spread, found)])
    return file.getvalue()


def markdown_tables(rows: Sequence[Row]) -> str:
    """Main figures and cost, all recalls, who is ahead, and the differences to the first system."""
    parts = [_main_table(rows), _recall_table(rows)]
    systems = of_systems(rows)
    if len(systems) > 1:
        parts.append(_leaders(systems))
    if len(systems) > 2:
        parts.append(_differences(systems))
    return "\n\n".join(filter(None, parts))


def chance_of(rows: Sequence[Row]) -> dict[str, float]:
    """What guessing gives, of every figure that has it."""
    return {name: value for row in rows for found in row.outcomes for name, value in found.chance.items()}


def shown_number(name: str, value: float) -> str:
    """A count with separators, times and percent with two digits."""
    return f"{value:,.0f}" if name in ("parameters", "updates", "samples") else f"{value:.2f}"


def markdown_table(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Columns of numbers to the right, those with a word in every line to the left."""
    words = [all(re.search("[A-Za-z]", cell) for cell in column) for column in zip(*body, strict=True)]
    lines = [header, ["---" if word else "---:" for word in words], *body]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _names(rows: Sequence[Row]) -> list[str]:
    """All figures that a row has, cost first."""
    found = dict.fromkeys(name for row in rows for name in row.figures)
    return [name for name in COST if name in found] + [name for name in found if name not in COST]


def _cell(name: str, numbers: Sequence[float], best: bool = False) -> str:
    if not numbers:
        return "-"
    cell = shown_number(name, statistics.fmean(numbers))
    cell = f"**{cell}**" if best else cell
    deviation = spread(numbers)
    # Equal in all seeds, as a number of updates is: nothing to say.
    return cell if not deviation else f"{cell} ± {shown_number(name, deviation)}"


def _best(systems: dict[str, list[Row]], name: str) -> float | None:
    """The highest mean of a figure; None if only one system has it."""
    means = [statistics.fmean(values(own, name)) for own in systems.values() if values(own, name)]
    return max(means) if len(means) > 1 else None


def _main_table(rows: Sequence[Row]) -> str:
    systems, names, chance = of_systems(rows), _names(rows), chance_of(rows)
    columns = {name: title for name, title in {**COST, **MAIN}.items() if name in names}
    best = {name: _best(systems, name) for name in columns if name in MAIN}
    body = []
    for system, own in systems.items():
        found = {name: values(own, name) for name in columns}
        leads = {name: bool(numbers) and statistics.fmean(numbers) == best.get(name) for name, numbers in found.items()}
        body.append([system, *(_cell(name, found[name], leads[name]) for name in columns)])
    if chance:
        body.append(["chance", *(shown_number(name, chance[name]) if name in chance else "-" for name in columns)])
    return markdown_table(["system", *columns.values()], body)


def _recall_table(rows: Sequence[Row]) -> str:
    """Recalls of the full test, a line for each text mode, test (re-ranked or not) and system."""
    systems, chance = of_systems(rows), chance_of(rows)
    found = re.findall(r"(?:^| )retrieval\.\S+\.(full|reranked_\d+)\.mean", " ".join(_names(rows)))
    body = []
    for mode in TEXT_MODES:
        for test in sorted(set(found)):  # the full test as it is comes first
            title = test.replace("full", "full test").replace("reranked_", "top re-ranked by ITM: ")
            names = [f"retrieval.{mode}.{test}.{recall}" for recall in RECALLS]
            lines = [
                [f"{mode}, {title}", system, *(_cell(name, values(own, name)) for name in names)]
                for system, own in systems.items()
                if values(own, names[0])
            ]
            if lines and names[0] in chance:
                lines.append([f"{mode}, {title}", "chance", *(f"{chance[name]:.2f}" for name in names)])
            body += lines
    return markdown_table(["text, test", "system", *RECALLS.values()], body) if body else ""


def _leaders(systems: dict[str, list[Row]]) -> str:
    """By each main figure the two best systems, and how far apart they are, seed by seed."""
    body = []
    for name, title in MAIN.items():
        means = {system: statistics.fmean(values(own, name)) for system, own in systems.items() if values(own, name)}
        if len(means) < 2:
            continue
        first, second = sorted(means, key=means.get, reverse=True)[:2]
        gain = _signed(paired(systems[first], systems[second], name))
        body.append([title, first, gain, second])
    return markdown_table(["who is ahead, by", "first", "ahead by, points", "second"], body) if body else ""


def _differences(systems: dict[str, list[Row]]) -> str:
    """Of every other system to the first, seed by seed."""
    base, *others = systems
    columns = {name: title for name, title in MAIN.items() if values(systems[base], name)}
    body = [[system, *(_signed(paired(systems[system], systems[base], name)) for name in columns)] for system in others]
    return markdown_table([f"points more than {base}", *columns.values()], body) if columns else ""


def _signed(differences: Sequence[float]) -> str:
    if not differences:
        return "-"
    deviation = spread(differences)
    return f"{statistics.fmean(differences):+.2f}" + ("" if deviation is None else f" ± {deviation:.2f}")
