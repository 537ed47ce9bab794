"""Tables of a comparison in Markdown and CSV: mean and standard deviation over the seeds, leaders and differences."""

import csv
import io
import re
import statistics
from collections.abc import Sequence

from fashionfae_lavis.compare.bootstrap import difference_interval
from fashionfae_lavis.compare.finished import Row
from fashionfae_lavis.text.product_text import TEXT_MODES

# Figure -> column heading.
COST = {
    "parameters": "trained parameters",
    "updates": "updates",
    "samples": "samples seen",
    "milliseconds": "ms per sample",
}
# In percent; higher is better.
MAIN = {
    **{f"retrieval.{mode}.full.mean": f"retrieval, {mode}" for mode in TEXT_MODES},
    **{f"retrieval.{mode}.sub.mean": f"sub-test, {mode}" for mode in TEXT_MODES},
    "recognition.accuracy": "recognition, accuracy",
    "recognition.macro_f1": "recognition, macro-F1",
    "probe.pairs": "probe, pairs",
    "probe.values": "probe, values",
    "probe.photo_only": "probe, photo only",
    "probe.linear": "probe, linear",
}
RECALLS = {f"{way.lower()}_r{k}": f"{way} R@{k}" for way in ("I2T", "T2I") for k in (1, 5, 10)} | {"mean": "mean"}


def by_system(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Groups rows by system, in their order."""
    systems: dict[str, list[Row]] = {}
    for row in rows:
        systems.setdefault(row.system, []).append(row)
    return systems


def values(rows: Sequence[Row], name: str) -> list[float]:
    """Returns the figure of this name from each row that has it."""
    return [row.figures[name] for row in rows if name in row.figures]


def deviation(numbers: Sequence[float]) -> float | None:
    """Returns the sample standard deviation (n - 1), or None for fewer than two numbers.

    >>> deviation([1.0, 2.0, 3.0])
    1.0
    """
    return statistics.stdev(numbers) if len(numbers) > 1 else None


def paired_differences(first: Sequence[Row], second: Sequence[Row], name: str) -> list[float]:
    """Subtracts the second system's figure from the first system's, for each seed that both have."""
    other = {row.seed: row.figures[name] for row in second if name in row.figures}
    return [row.figures[name] - other[row.seed] for row in first if name in row.figures and row.seed in other]


def csv_table(rows: Sequence[Row]) -> str:
    """Formats all figures as CSV: one line for each seed of a system, then its mean and standard deviation."""
    names = _names(rows)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["system", "seed", *names])
    for system, seeds in by_system(rows).items():
        for row in seeds:
            writer.writerow([system, "" if row.seed is None else row.seed, *(row.figures.get(name) for name in names)])
        if len(seeds) > 1:
            found = [values(seeds, name) for name in names]
            writer.writerow([system, "mean", *(statistics.fmean(numbers) if numbers else None for numbers in found)])
            writer.writerow([system, "standard deviation", *map(deviation, found)])
    return file.getvalue()


def markdown_tables(rows: Sequence[Row], contrasts: Sequence[tuple[str, str]] = ()) -> str:
    """Formats up to four tables: main figures and cost, recalls, leaders, and differences.

    Args:
        rows: the results.
        contrasts: pairs (a, b) of systems; a row shows a minus b. If empty, every system is compared with the first.
    """
    parts = [_main_table(rows), _recall_table(rows)]
    systems = by_system(rows)
    if len(systems) > 1:
        parts.append(_leaders(systems))
    if contrasts or len(systems) > 2:
        base, *others = systems
        parts.append(_differences(systems, contrasts or [(system, base) for system in others]))
    return "\n\n".join(filter(None, parts))


def chance_levels(rows: Sequence[Row]) -> dict[str, float]:
    """Returns {name of a figure: percent by random guessing}."""
    return {name: value for row in rows for found in row.outcomes for name, value in found.chance.items()}


def format_number(name: str, value: float) -> str:
    """Formats a figure: counts with thousands separators, anything else with two decimals."""
    return f"{value:,.0f}" if name in ("parameters", "updates", "samples") else f"{value:.2f}"


def markdown_table(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Formats a Markdown table; columns that have letters in every cell are aligned left, the others right."""
    words = [all(re.search("[A-Za-z]", cell) for cell in column) for column in zip(*body, strict=True)]
    lines = [header, ["---" if word else "---:" for word in words], *body]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _names(rows: Sequence[Row]) -> list[str]:
    """Returns the names of all figures that any row has, cost first."""
    found = dict.fromkeys(name for row in rows for name in row.figures)
    return [name for name in COST if name in found] + [name for name in found if name not in COST]


def _means(systems: dict[str, list[Row]], name: str) -> dict[str, float]:
    """Returns the mean over the seeds of each system that has the figure."""
    found = {system: values(seeds, name) for system, seeds in systems.items()}
    return {system: statistics.fmean(numbers) for system, numbers in found.items() if numbers}


def _cell(name: str, numbers: Sequence[float], best: bool = False) -> str:
    if not numbers:
        return "-"
    cell = format_number(name, statistics.fmean(numbers))
    cell = f"**{cell}**" if best else cell
    spread = deviation(numbers)
    # Omit a spread of zero, for example of the number of updates, which is the same for all seeds.
    return f"{cell} ± {format_number(name, spread)}" if spread else cell


def _main_table(rows: Sequence[Row]) -> str:
    """Formats cost and main figures, one line per system; the highest of several means is bold."""
    systems, names, chance = by_system(rows), _names(rows), chance_levels(rows)
    columns = {name: title for name, title in {**COST, **MAIN}.items() if name in names}
    means = {name: _means(systems, name) for name in columns if name in MAIN}
    best = {name: max(found.values()) for name, found in means.items() if len(found) > 1}
    body = []
    for system, seeds in systems.items():
        leads = {name for name, highest in best.items() if means[name].get(system) == highest}
        body.append([system, *(_cell(name, values(seeds, name), name in leads) for name in columns)])
    if chance:
        body.append(["chance", *(format_number(name, chance[name]) if name in chance else "-" for name in columns)])
    return markdown_table(["system", *columns.values()], body)


def _recall_table(rows: Sequence[Row]) -> str:
    """Formats recalls of the full test, one line per text mode, test (with and without re-ranking) and system."""
    systems, chance = by_system(rows), chance_levels(rows)
    tests = re.findall(r"(?:^| )retrieval\.\S+\.(full|reranked_\d+)\.mean", " ".join(_names(rows)))
    body = []
    for mode in TEXT_MODES:
        for test in sorted(set(tests)):  # `full` first
            title = "full test" if test == "full" else f"top {test.removeprefix('reranked_')} re-ranked by ITM"
            names = [f"retrieval.{mode}.{test}.{recall}" for recall in RECALLS]
            lines = [
                [f"{mode}, {title}", system, *(_cell(name, values(seeds, name)) for name in names)]
                for system, seeds in systems.items()
                if values(seeds, names[0])
            ]
            if lines and names[0] in chance:
                lines.append([f"{mode}, {title}", "chance", *(f"{chance[name]:.2f}" for name in names)])
            body += lines
    return markdown_table(["text, test", "system", *RECALLS.values()], body) if body else ""


def _leaders(systems: dict[str, list[Row]]) -> str:
    """Formats the two best systems by each main figure, and their mean difference over the seeds."""
    body = []
    for name, title in MAIN.items():
        means = _means(systems, name)
        if len(means) < 2:
            continue
        first, second = sorted(means, key=means.__getitem__, reverse=True)[:2]
        lead = _difference(systems[first], systems[second], name)
        body.append([title, first, lead, second])
    return markdown_table(["figure", "best system", "lead, points", "second best"], body) if body else ""


def _differences(systems: dict[str, list[Row]], contrasts: Sequence[tuple[str, str]]) -> str:
    """Formats the mean difference of each pair of systems over the seeds, with its interval over products if known."""
    columns = {name: title for name, title in MAIN.items() if any(values(rows, name) for rows in systems.values())}
    body = [
        [f"{one} - {other}", *(_difference(systems[one], systems[other], name) for name in columns)]
        for one, other in contrasts
    ]
    return markdown_table(["difference, points", *columns.values()], body) if columns else ""


def _difference(first: Sequence[Row], second: Sequence[Row], name: str) -> str:
    others = {row.seed: row.hits[name] for row in second if name in row.hits}
    pairs = [(row.hits[name], others[row.seed]) for row in first if name in row.hits and row.seed in others]
    differences = paired_differences(first, second, name)
    cell = _signed(differences)
    if not pairs or len(pairs) < len(differences):
        return cell
    interval = difference_interval(*zip(*pairs, strict=True))
    return f"{cell} [{interval[0]:+.2f}, {interval[1]:+.2f}]" if interval else cell


def _signed(differences: Sequence[float]) -> str:
    if not differences:
        return "-"
    spread = deviation(differences)
    return f"{statistics.fmean(differences):+.2f}" + ("" if spread is None else f" ± {spread:.2f}")
