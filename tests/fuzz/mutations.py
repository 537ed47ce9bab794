"""Ways to damage files, texts and nested values."""

import json
import os
import random
from pathlib import Path
from typing import Any

from .watch import SECRET

HOSTILE_TEXTS = (
    "",
    " ",
    "\0",
    "\ud800",
    "a" * 100_000,
    "é\u202eß\uffff",
    "<script " * 5000,
    "&" * 5000,
    "../outside/password.txt",
    "/etc/passwd",
    "=cmd|'/C calc'!A0",
    "${oc.env:HOME}",
    "${..}",
    "{0.__class__}",
    "nan",
    "\r\nline\r\n",
    "1e999",
    "9" * 5000,
)
HOSTILE_NUMBERS = (0, -1, -3, 0.5, 8.7, 1e-320, float("nan"), float("inf"), 2**31, 2**63, -(2**63), 10**18, 10**400)
HOSTILE_VALUES: tuple[Any, ...] = (None, True, False, [], {}, [[]], [None], {"a": 1}, [{}], "text", b"bytes")


def hostile(rng: random.Random) -> Any:
    """Returns a value that is likely to be of a wrong type or size."""
    return rng.choice(rng.choice((HOSTILE_TEXTS, HOSTILE_NUMBERS, HOSTILE_VALUES)))


def damage_bytes(rng: random.Random, content: bytes) -> tuple[str, bytes]:
    """Flips bits, cuts, repeats, inserts or removes bytes; returns what was done and the result."""
    if not content:
        return "empty", content
    way = rng.choice(("flip", "flip", "flip many", "truncate", "truncate", "remove", "insert", "repeat", "zero"))
    place = rng.randrange(len(content))
    length = rng.choice((1, 2, 8, 100))
    data = bytearray(content)
    if way.startswith("flip"):
        for _ in range(1 if way == "flip" else rng.randint(2, 50)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif way == "truncate":
        del data[place:]
    elif way == "remove":
        del data[place : place + length]
    elif way == "insert":
        data[place:place] = rng.randbytes(length)
    elif way == "repeat":
        data[place:place] = data[place : place + 1000]
    else:
        data[place : place + length] = bytes(len(data[place : place + length]))
    return f"{way} at {place} of {len(content)}", bytes(data)


def damage_file(rng: random.Random, path: Path) -> str:
    """Damages a file in place and returns what was done."""
    done, content = damage_bytes(rng, path.read_bytes())
    path.write_bytes(content)
    return f"{path.name}: {done}"


def damage_json_file(rng: random.Random, path: Path) -> str:
    """Replaces a json file by a text that is damaged, or wrong from its root, and returns what was done."""
    done, content = hostile_json(rng, path.read_bytes())
    path.write_bytes(content)
    return f"{path.name}: {done}"


def replace_file(path: Path, kind: str) -> None:
    """Puts a fifo, a folder, a link in a loop, a link to a device, or an empty file in the place of a file.

    Any other kind, such as "missing", leaves nothing there.
    """
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "empty":
        path.touch()


def outside_of(path: Path) -> Path:
    """Returns the folder that a case must not touch, from a path in the folder `given` of the case."""
    given = next(folder for folder in path.parents if folder.name == "given")
    return given.parent / "outside"


def places(value: Any, at: tuple = ()) -> list[tuple]:
    """Returns the path of every node below a nested value."""
    found = [at] if at else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*at, key))
    return found


def damage_value(rng: random.Random, value: Any, number: int = 1) -> tuple[str, Any]:
    """Replaces, removes, renames or doubles nodes of a nested value (changed in place)."""
    done = []
    for _ in range(number):
        nodes = places(value)
        if not nodes:
            break
        # Short paths are few in a long list of products, but matter most.
        depth = rng.choice(sorted({len(node) for node in nodes}))
        *path, key = rng.choice([node for node in nodes if len(node) == depth])
        parent = value
        for step in path:
            parent = parent[step]
        way = rng.choice(("replace", "replace", "replace", "remove", "rename", "double", "swap"))
        shown = ".".join(map(str, (*path, key)))[:80]
        if way == "replace":
            new = hostile(rng)
            new = str(new) if isinstance(new, bytes) else new
            parent[key] = new
            done.append(f"{shown} = {repr(new)[:40]}")
            continue
        if way == "remove":
            del parent[key]
        elif way == "rename" and isinstance(parent, dict):
            parent[f"{key}x"] = parent.pop(key)
        elif way == "double" and isinstance(parent, list):
            parent.insert(key, parent[key])
        else:
            way, parent[key] = "wrap", [parent[key]]
        done.append(f"{way} {shown}")
    return ", ".join(done), value


def hostile_json(rng: random.Random, content: bytes) -> tuple[str, bytes]:
    """Returns a json text that is damaged, or wrong from its root."""
    choices = {
        "an empty file": b"",
        "deep nesting": b"[" * 100_000,
        "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "not utf-8": b"\xff\xfe\x80" + content,
        "utf-16": content.decode(errors="replace").encode("utf-16"),
        "a byte order mark": b"\xef\xbb\xbf" + content,
        "null": b"null",
        "a list": b"[]",
        "an object": b"{}",
        "a number": b"12",
        "a text": json.dumps(SECRET[:3]).encode(),
        "a long number": b"9" * 10_000,
        "NaN": b"NaN",
        "a lone surrogate": b'["\\ud800"]',
        "zeros": bytes(1000),
    }
    name = rng.choice(sorted(choices))
    return name, choices[name]
