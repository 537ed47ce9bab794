"""Reading of results.yml, the file that holds every published figure."""

import datetime
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.suggestions import hint
from fashionfae_lavis.yaml_file import check_depth

FILE = Path("results.yml")


@dataclass(frozen=True)
class Figure:
    """A number, and its standard deviation if there are several seeds. A `value` of None prints as a dash."""

    value: float | int | None
    spread: float | None = None

    def text(self, spec: str) -> str:
        """Formats the figure with a spec such as `.2f`; whole numbers keep their digits."""
        if self.value is None:
            return "-"
        if isinstance(self.value, int):
            return f"{self.value:,}"
        return f"{self.value:{spec}}" if self.spread is None else f"{self.value:{spec}} ± {self.spread:{spec}}"


@dataclass(frozen=True)
class Entry:
    """The figures that one command measured or one source reports.

    Attributes:
        what: description of the figures, in one line.
        status: `measured` here, or `quoted` from `source`.
        figures: dotted path -> figure. With `output`, it is the figure's path in the results.json of the run.
        command: the command that measures the figures, run in the root of a clone.
        output: folder in which the command creates the run's folder; None if it writes no results.json.
        commit: short hash of the commit that recorded the figures.
        hardware: the machine and its threads.
        seeds: seeds of the runs.
        date: day on which the figures were recorded.
        tolerance: largest accepted difference of a reproduced figure.
        cost: time and memory that the command took.
        source: publication and table of a quoted figure.
    """

    name: str
    what: str
    status: Literal["measured", "quoted"]
    figures: dict[str, Figure]
    command: str | None = None
    output: str | None = None
    commit: str | None = None
    hardware: str | None = None
    seeds: tuple[int, ...] = ()
    date: datetime.date | None = None
    tolerance: float | None = None
    cost: str | None = None
    source: str | None = None


@dataclass(frozen=True)
class Table:
    """A Markdown table of figures.

    Attributes:
        corner: heading of the first column.
        columns: title -> key, one for each other column; a list of titles if no row is a path.
        rows: label -> cells. A string is a path in which `*` becomes the key of each column; a key such as `@command`
            shows that field of the entry. A list holds a text for each column, in which `{path}` shows a figure.
        format: format of the figures.
    """

    name: str
    corner: str
    columns: dict[str, str] | list[str]
    rows: dict[str, str | list[str]]
    format: str = ".2f"


@dataclass(frozen=True)
class Results:
    """The content of results.yml."""

    entries: dict[str, Entry]
    tables: dict[str, Table]

    def entry(self, name: str) -> Entry:
        """Returns the entry of this name.

        Raises:
            UserError: there is no such entry; the message suggests similar names.
        """
        if name in self.entries:
            return self.entries[name]
        raise UserError(f"{FILE} has no entry {name!r}; {hint(name, self.entries)}")


def load_results(path: Path = FILE) -> Results:
    """Reads and checks results.yml.

    Raises:
        UserError: the file is missing, is not yaml, or an entry or a table lacks a key or has an unknown one.
    """
    if not path.is_file():
        raise UserError(f"There is no {path} in {Path.cwd()}: run this command in the root of a clone.")
    try:
        text = path.read_text(encoding="utf-8")
        check_depth(text)
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: not UTF-8, nested deeply, a long number
        raise UserError(f"{path} is not valid yaml: {' '.join(str(error).split())}.") from error
    sections = content.values() if isinstance(content, dict) and set(content) == {"entries", "tables"} else [None]
    if not all(isinstance(section, dict) for section in sections):
        raise UserError(f"{path} must hold the two mappings `entries` and `tables`.")
    entries = {name: _entry(path, name, _mapping(path, name, keys)) for name, keys in content["entries"].items()}
    tables = {name: _table(path, name, _mapping(path, name, keys)) for name, keys in content["tables"].items()}
    return Results(entries, tables)


def _entry(path: Path, name: str, keys: dict[str, Any]) -> Entry:
    _check_keys(path, name, keys, Entry)
    if keys["status"] not in ("measured", "quoted"):
        raise UserError(f"{path}: `{name}.status` must be measured or quoted, not {keys['status']!r}.")
    needed = ["source"] if keys["status"] == "quoted" else ["command", "commit", "hardware", "date"]
    missing = [key for key in needed + ["tolerance"] * ("output" in keys) if keys.get(key) is None]
    if missing:
        raise UserError(f"{path}: `{name}` is {keys['status']} and lacks the key `{missing[0]}`.")
    figures = dict(_flatten(path, name, _mapping(path, f"{name}.figures", keys["figures"])))
    return Entry(name=name, **{**keys, "figures": figures, "seeds": tuple(keys.get("seeds", ()))})


def _table(path: Path, name: str, keys: dict[str, Any]) -> Table:
    _check_keys(path, name, keys, Table)
    for label, cells in keys["rows"].items():
        if isinstance(cells, str) and isinstance(keys["columns"], list):
            raise UserError(f"{path}: row {label!r} of table `{name}` is a path, so `columns` must map titles to keys.")
        if isinstance(cells, list) and len(cells) != len(keys["columns"]):
            raise UserError(f"{path}: row {label!r} of table `{name}` needs {len(keys['columns'])} cells.")
    return Table(name=name, **keys)


def _check_keys(path: Path, name: str, keys: dict[str, Any], kind: type[Entry] | type[Table]) -> None:
    known = {field.name: field for field in fields(kind) if field.name != "name"}
    for key in keys:
        if key not in known:
            raise UserError(f"{path}: `{name}` has the unknown key `{key}`; known are {', '.join(known)}.")
    for key, field in known.items():
        if key not in keys and field.default is MISSING:
            raise UserError(f"{path}: `{name}` lacks the key `{key}`.")


def _mapping(path: Path, name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{path}: `{name}` must be a mapping, not a {type(value).__name__}.")
    return value


def _flatten(path: Path, name: str, content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Figure]]:
    """Yields dotted path and figure of every leaf: a number, null, or a list of mean and standard deviation."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _flatten(path, name, value, f"{prefix}{key}.")
            continue
        pair = value if isinstance(value, list) else [value]
        if len(pair) > 2 or not all(isinstance(number, int | float | None) for number in pair):
            raise UserError(
                f"{path}: `{name}.figures.{prefix}{key}` must be a number, null or [mean, standard deviation], "
                f"not {value!r}."
            )
        yield f"{prefix}{key}", Figure(*pair)
