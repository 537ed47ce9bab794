"""Fuzzer of product tables: CSV, TSV, Excel, JSON and Parquet through `fashionfae prepare catalogue`."""

import csv
import datetime
import io
import json
import os
import random
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow
import pyarrow.parquet

from fashionfae_lavis.cli import main
from fashionfae_lavis.datasets.datasets.catalogue_file import read_catalogue

from .files import write_photographs
from .harness import Case, Wrong
from .mutations import HOSTILE_TEXTS, damage_bytes, hostile, outside_of, replace_file

COLUMNS = ("id", "title", "description", "image", "split", "colour", "year")
FORMULA = "=cmd|'/C calc'!A0"
TEXTS = (
    *HOSTILE_TEXTS,
    FORMULA,
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "<p>" * 20_000,
    "<!--" * 20_000,
    "<style>" * 10_000 + "x",
    "<" * 50_000,
    "&lt;" * 30_000,
    "&#x110000;&#55296;&#0;",
    "</script" * 10_000,
    "<a " + "b='c' " * 20_000,
    "1.5",
    "2011.0",
    "NA",
    "-",
    "x" * 3_000_000,
    '"',
    "a\tb",
    "{id}",
)
IMAGES = (
    "0.png",
    "../outside/private.png",
    "../outside/password.txt",
    "images/../../outside/private.png",
    "/etc/passwd",
    "/dev/zero",
    "fifo.png",
    "link.png",
    "linked/private.png",
    "loop.png",
    "folder.png",
    "http://127.0.0.1/x.png",
    "//shop.example/0.png?v=3",
    "https://shop.example/..%2f..%2foutside/private.png",
    "file:///etc/passwd",
    "a" * 5000 + ".png",
    "0.png\0.png",
    "\ud800.png",
    ".",
    "",
    '["0.png", 1, null, {"a": []}]',
    "[" * 50_000,
    "0.png|" * 3000,
    "0.png;1.png",
)
PATTERNS = ("{id}.png", "{id:d}.png", "{id!r}.png", "{id.__class__}*", "{id[0]}.png", "{0}.png", "{}", "{id", "*")
PATTERNS += ("../outside/{id}*", "{id}/../*", "{title}*", "/{id}*", "{id:>999999999}*", "{split}*", "{id}[")
OPTIONS = {
    "--validation": ("0", "1", "0.5", "-1", "nan", "inf", "x", "1e999"),
    "--seed": ("0", "-1", "9" * 30, "x"),
    "--max-bad": ("1", "1", "1", "0", "nan", "2"),
    "--attributes": (
        "colour",
        "colour=year",
        "colour=none",
        "=",
        "title",
        "colour,colour",
        "\ud800",
        "a" * 300,
        "*=id",
    ),
    "--map": ("title=title", "title=none", "nothing=id", "id=year", "image=colour", "id=", "split=colour"),
    "--pattern": PATTERNS,
    "--group": ("id", "colour", "split,colour", "none", ",", "description"),
    "--title": PATTERNS,
}


def prepare(shared: Path) -> None:
    """Every case writes its own files."""


def make(rng: random.Random, shared: Path, folder: Path) -> Case:
    """Writes a table with some hostile cells, or damages a table's bytes, and prepares it."""
    photos = _photographs(folder)
    suffix = rng.choice(("csv", "csv", "tsv", "jsonl", "ndjson", "json", "xlsx", "parquet"))
    rows, done = _rows(rng)
    path = folder / f"table.{suffix}"
    writers = {"csv": _separated, "tsv": _separated, "parquet": _parquet, "json": _json, "xlsx": _workbook}
    notes = writers.get(suffix, _json_lines)(rng, rows, path)
    if rng.random() < 0.3:
        damage, content = damage_bytes(rng, path.read_bytes())
        path.write_bytes(content)
        notes += f", {damage}"
    elif rng.random() < 0.07:
        notes += f", {_special(rng, path)}"
    options = []
    for option, values in OPTIONS.items():
        if rng.random() < (0.15 if option != "--max-bad" else 0.8):
            options += [f"{option}={rng.choice(values)}"]
    table = [] if rng.random() < 0.03 else ["--table", path.name]
    arguments = ["prepare", "catalogue", *table, "--images", photos.name, "--out", "out", *options]
    shown = " ".join(option[:60] for option in options)
    return Case(f"{path.name} {done}{notes} {shown}", lambda: _call(arguments))


def _call(arguments: list[str]) -> None:
    main(arguments)
    files = read_catalogue("out")
    outside = [name for file in files.values() for name in file._images if ".." in name or name.startswith("/")]
    if outside:
        raise Wrong(f"the catalogue names {outside[0]}")
    with open("out/rejected.csv", encoding="utf-8", newline="") as file:
        csv.field_size_limit(1 << 30)
        if any(cell.startswith(("=cmd", "@SUM")) for row in csv.reader(file) for cell in row):
            raise Wrong("rejected.csv holds a formula")
    json.loads(Path("out/catalogue.jsonl").read_text(encoding="utf-8").splitlines()[0])


def _photographs(folder: Path) -> Path:
    photos = folder / "photos"
    outside = outside_of(photos)
    write_photographs(photos, 3)
    write_photographs(outside, 1)
    (outside / "0.png").rename(outside / "private.png")
    os.mkfifo(photos / "fifo.png")
    (photos / "link.png").symlink_to(outside / "private.png")
    (photos / "linked").symlink_to(outside)
    (photos / "loop.png").symlink_to(photos / "loop.png")
    (photos / "folder.png").mkdir()
    return photos


def _rows(rng: random.Random) -> tuple[list[dict[str, Any]], str]:
    rows: list[dict[str, Any]] = [
        {
            "id": f"{100 + number}",
            "title": f"Linen shirt {number}",
            "description": "A shirt.",
            "image": f"{number % 3}.png",
            "split": "val" if number % 4 == 3 else "train",
            "colour": ("red", "Navy Blue", "navy-blue")[number % 3],
            "year": 2011,
        }
        for number in range(8)
    ]
    done = []
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        row, column = rng.randrange(len(rows)), rng.choice(COLUMNS)
        value = rng.choice(IMAGES if column == "image" and rng.random() < 0.8 else TEXTS)
        rows[row][column] = value
        done.append(f"{column}={value[:30]!r}")
    return rows, ", ".join(done)


def _separated(rng: random.Random, rows: list[dict], path: Path) -> str:
    delimiter = "\t" if path.suffix == ".tsv" else rng.choice(",,;|")
    encoding = rng.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "cp1252", "utf-32"))
    buffer = io.StringIO()
    quoting = rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    writer = csv.writer(buffer, delimiter=delimiter, quoting=quoting, escapechar="\\")
    header = list(COLUMNS)
    if rng.random() < 0.15:
        header[rng.randrange(len(header))] = rng.choice(("", "id", "TITLE", "\0", "x" * 200_000, "image"))
    writer.writerow(header)
    writer.writerows([list(row.values()) for row in rows])
    text = buffer.getvalue()
    path.write_bytes(text.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace"))
    return f", {encoding} {delimiter!r}"


def _json_lines(rng: random.Random, rows: list[dict], path: Path) -> str:
    done = []
    for _ in range(rng.choice((0, 1, 2))):
        row, key = rng.choice(rows), rng.choice(COLUMNS)
        value = hostile(rng)
        row[key] = value if not isinstance(value, bytes) else str(value)
        done.append(f"{key}={repr(row[key])[:30]}")
    lines = [json.dumps(row, ensure_ascii=rng.random() < 0.5) for row in rows]
    if rng.random() < 0.3:
        extra = rng.choice(
            ("[" * 100_000, '{"a":' * 50_000, "null", "12", "[]", "{", "NaN", '{"id": "\\ud800"}', "9" * 9999, "\0", "")
        )
        lines.insert(rng.randrange(len(lines) + 1), extra)
        done.append(f"a line {extra[:20]!r}")
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    return ", " + ", ".join(done)


def _json(rng: random.Random, rows: list[dict], path: Path) -> str:
    notes = _json_lines(rng, rows, path)
    lines = path.read_bytes().split(b"\n")
    start, end = rng.choice(((b"[", b"]"), (b'{"products": [', b"]}"), (b'{"a": [{}], "b": [', b"]}"), (b"[", b"")))
    path.write_bytes(start + b",\n".join(lines) + end)
    return notes


def _workbook(rng: random.Random, rows: list[dict], path: Path) -> str:
    book = openpyxl.Workbook()
    book.active.append(list(COLUMNS))
    for row in rows:
        texts = (str(value).encode("utf-8", "replace").decode() for value in row.values())
        book.active.append([openpyxl.cell.cell.ILLEGAL_CHARACTERS_RE.sub("", text) for text in texts])
    for cell in book.active[rng.randint(1, len(rows))]:
        cell.value = rng.choice((cell.value, 35, 0.5, True, datetime.datetime(2024, 5, 1), datetime.time(1), None))
        cell.number_format = rng.choice(("General", "0%", '"$"#,##0.00', "000", "[$\u20ac-407]", "0;;;", "#", "yyyy"))
    book.save(path)
    return ""


def _parquet(rng: random.Random, rows: list[dict], path: Path) -> str:
    count = len(rows)
    clean = {column: [str(row[column]).encode("utf-8", "replace").decode() for row in rows] for column in COLUMNS}
    table = pyarrow.table(clean)
    moment = pyarrow.array([2**62] * count, pyarrow.int64())
    odd = {
        "out of range": moment.cast(pyarrow.timestamp("s")),
        "ns": moment.cast(pyarrow.timestamp("ns")),
        "unknown zone": pyarrow.array([0] * count, pyarrow.timestamp("us", tz="Mars/Olympus")),
        "date": pyarrow.array([2**31 - 1] * count, pyarrow.int32()).cast(pyarrow.date32()),
        "time": pyarrow.array([datetime.time(1)] * count),
        "duration": moment.cast(pyarrow.duration("s")),
        "bad utf-8": pyarrow.array([b"\xff\xfe"] * count, pyarrow.binary()).cast(pyarrow.large_binary()),
        "string of bad utf-8": pyarrow.Array.from_buffers(
            pyarrow.string(), 1, [None, pyarrow.py_buffer(b"\0\0\0\0\2\0\0\0"), pyarrow.py_buffer(b"\xff\xfe")]
        ).take(pyarrow.array([0] * count)),
        "list": pyarrow.array([["0.png", "1.png"]] * count),
        "struct": pyarrow.array([{"a": 1}] * count),
        "map": pyarrow.array([[("a", 1)]] * count, pyarrow.map_(pyarrow.string(), pyarrow.int64())),
        "null": pyarrow.nulls(count),
        "decimal": pyarrow.array([1] * count).cast(pyarrow.decimal128(38, 2)),
        "dictionary": pyarrow.array(["0.png"] * count).dictionary_encode(),
        "float": pyarrow.array([float("nan"), float("inf"), 1e300, *[1.5] * (count - 3)]),
        "nested": pyarrow.array([[[["0.png"]]]] * count),
        "bool": pyarrow.array([True] * count),
    }
    done = []
    for _ in range(rng.choice((0, 1, 1, 2))):
        column, kind = rng.choice(COLUMNS), rng.choice(sorted(odd))
        table = table.set_column(table.schema.get_field_index(column), column, odd[kind])
        done.append(f"{column} is {kind}")
    if rng.random() < 0.1:
        table = table.append_column(rng.choice(("id", "", "title")), table.column("colour"))
        done.append("a column twice")
    try:
        pyarrow.parquet.write_table(table, path, compression=rng.choice(("none", "snappy", "zstd")))
    except (pyarrow.ArrowException, ValueError):  # it cannot write every column
        pyarrow.parquet.write_table(pyarrow.table(clean), path)
        done = ["intact"]
    return ", " + ", ".join(done)


def _special(rng: random.Random, path: Path) -> str:
    way = rng.choice(("fifo", "folder", "loop", "empty", "parquet called csv"))
    replace_file(path, way)
    if way == "parquet called csv":
        path.write_bytes(b"PAR1" + bytes(100))
    return way
