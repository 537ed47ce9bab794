"""Writing of the tables of results.yml into README.md and docs/.

A table is written between the markers `<!-- table: NAME -->` and `<!-- end table -->`.
"""

import argparse
import re
import sys
from pathlib import Path

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.figures.results import FILE, Results, Table, load_results
from fashionfae_lavis.files import replacing

BLOCK = re.compile(r"(<!-- table: (?P<name>\S+) -->\n).*?(<!-- end table -->)", re.DOTALL)
MARK = re.compile(r"<!-- (table: \S+|end table) -->")
PLACEHOLDER = re.compile(r"\{(?P<entry>[^{}.@]+)(?:@(?P<field>\w+)|\.(?P<path>[^{}]+))\}")


def main(argv: list[str] | None = None) -> None:
    """Runs `python -m fashionfae_lavis.figures`; a user error is printed as one sentence, with exit status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m fashionfae_lavis.figures",
        description="Write the tables of results.yml into README.md and docs/.",
    )
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a table differs from results.yml")
    args = parser.parse_args(argv)
    try:
        changed = write_tables(load_results(), check=args.check)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    if changed and args.check:
        print(f"error: {', '.join(map(str, changed))}: tables differ from {FILE}; run `make tables`.", file=sys.stderr)
        sys.exit(1)
    print("".join(f"{path}: written\n" for path in changed) or "All tables agree with results.yml.\n", end="")


def write_tables(results: Results, root: Path = Path(), check: bool = False) -> list[Path]:
    """Updates the tables of README.md and of every page below docs/.

    Args:
        results: content of results.yml.
        root: folder of README.md and docs/.
        check: whether to leave the files unchanged.

    Returns:
        Files whose tables differed.
    """
    changed = []
    for path in [root / "README.md", *sorted((root / "docs").rglob("*.md"))]:
        before = path.read_text(encoding="utf-8")
        after = with_tables(before, results, path)
        if after != before:
            changed.append(path)
            if not check:
                with replacing(path) as temporary:
                    temporary.write_text(after, encoding="utf-8")
    return changed


def with_tables(text: str, results: Results, path: Path) -> str:
    """Returns the text of a Markdown file with updated tables.

    Raises:
        UserError: the markers are not in pairs, or a table or a figure is not in results.yml.
    """
    marks = [mark.partition(":")[0] for mark in MARK.findall(text)]
    if marks != ["table", "end table"] * (len(marks) // 2):
        raise UserError(f"{path}: each `<!-- table: NAME -->` needs an `<!-- end table -->` after it.")

    def block(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in results.tables:
            raise UserError(f"{path}: {FILE} has no table `{name}`.")
        return f"{match[1]}\n{render_table(results, results.tables[name])}\n\n{match[3]}"

    return BLOCK.sub(block, text)


def render_table(results: Results, table: Table) -> str:
    """Formats a table in Markdown, followed by the names of the entries that it shows.

    Raises:
        UserError: a cell names an unknown entry or figure.
    """
    used: dict[str, None] = {}

    def shown(match: re.Match[str]) -> str:
        entry = results.entry(match["entry"])
        used[entry.name] = None
        if match["field"]:
            return f"`{entry.command}`" if match["field"] == "command" else str(getattr(entry, match["field"]))
        if match["path"] not in entry.figures:
            raise UserError(f"{FILE}: table `{table.name}` shows {match[0]}, which `{entry.name}` does not have.")
        return entry.figures[match["path"]].text(table.format)

    body = []
    for label, cells in table.rows.items():
        if isinstance(cells, str):
            keys = table.columns.values() if isinstance(table.columns, dict) else ()
            cells = [_cell(cells, key) for key in keys]
        body.append([label, *(PLACEHOLDER.sub(shown, cell) for cell in cells)])
    # Align columns with words left, numbers right.
    words = [any(re.search("[A-Za-z]{2}", cell) for cell in column) for column in zip(*body, strict=True)]
    lines = [[table.corner, *table.columns], ["---" if word else "---:" for word in words], *body]
    rows = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{rows}\n\n*{FILE}: {', '.join(f'`{name}`' for name in used)}*"


def _cell(path: str, key: str) -> str:
    """Returns the placeholder of a column's figure in a row that is given by one path."""
    return f"{{{path.partition('.')[0]}{key}}}" if key.startswith("@") else f"{{{path.replace('*', key)}}}"
