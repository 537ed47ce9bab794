"""Fuzzer of checkpoints: flipped bits, pickles with code, crafted weights, configurations and states of runs."""

import contextlib
import io
import json
import os
import pickle
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from lavis.models import load_model
from safetensors import safe_open
from safetensors.torch import save_file

from fashionfae_lavis import train
from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.cli import main

from .files import catalogue_lines, stop_after, tiny_config, write_lines, write_photographs
from .harness import Case, Enough, Wrong
from .mutations import damage_file, damage_value, hostile, hostile_json, outside_of, replace_file

RUN, WEIGHTS, AUTHORS = "checkpoint_last.pth", "weights.safetensors", "authors.pth"


def prepare(shared: Path) -> None:
    """Trains a tiny model, stops it in the middle, and exports its weights in both layouts."""
    photos = write_photographs(shared / "photos", 24)
    write_lines(shared / "catalogue.jsonl", catalogue_lines(photos))
    os.chdir(shared)
    Path("config.yaml").write_text(yaml.safe_dump(tiny_config(".")))
    stop_after(3)
    with contextlib.suppress(Enough):
        train.main(["--cfg-path", "config.yaml"])
    (run,) = Path("output").iterdir()
    shutil.copytree(run, "run")
    main(["export-weights", f"run/{RUN}", WEIGHTS])
    main(["export-checkpoint", WEIGHTS, AUTHORS])
    shutil.rmtree("output")


def make(rng: random.Random, shared: Path, folder: Path) -> Case:
    """Damages a checkpoint and loads, resumes, compares or converts it."""
    name, call = rng.choice(
        (
            (RUN, _resume),
            (RUN, _resume),
            (RUN, _compare),
            (RUN, _export),
            (RUN, _load),
            (WEIGHTS, _load),
            (WEIGHTS, _load),
            (WEIGHTS, _export),
            (WEIGHTS, _pretrained),
            (AUTHORS, _import),
        )
    )
    path = folder / name
    if name == RUN:
        shutil.copytree(shared / "run", folder / "output" / "run")
        path = folder / "output" / "run" / RUN
    else:
        shutil.copy(shared / name, path)
    if call in (_resume, _pretrained):
        shutil.copytree(shared / "photos", folder / "photos")
        for needed in ("catalogue.jsonl", "config.yaml"):
            shutil.copy(shared / needed, folder)
    changes: list[Callable] = [damage_file, damage_file, damage_file, _code, _weights, _weights, _special]
    changes += [_configuration, _header] if path.suffix == ".safetensors" else [_state, _state, _state, _configuration]
    change = rng.choice(changes)
    done = change(rng, path)
    intact = shared / ("run/" + RUN if name == RUN else path.name)
    return Case(f"{call.__name__[1:]}: {path.name} {done}", lambda: call(path, intact, change is damage_file))


def _load(path: Path, intact: Path, same: bool) -> None:
    model = load_model("fashionfae", str(path), is_eval=True)
    if same:
        _compare_states(model.state_dict(), _read(intact)["model"])


def _read(path: Path) -> Any:
    """Reads an intact file without the package."""
    if path.suffix != ".safetensors":
        return torch.load(path, weights_only=True)
    return {"model": _read_safetensors(path)[1]}


def _read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Returns the metadata and the tensors of a file."""
    with safe_open(path, framework="pt") as file:
        return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)


def _compare_states(found: Any, expected: Any, name: str = "") -> None:
    """Checks that nothing of what is in both has changed."""
    if isinstance(expected, dict):
        for key in expected.keys() & found.keys():
            _compare_states(found[key], expected[key], str(key))
    elif isinstance(expected, torch.Tensor):
        if not torch.equal(torch.nan_to_num(found), torch.nan_to_num(expected)):
            raise Wrong("damaged tensors were read")
    elif name not in ("config", "fashionfae_config") and repr(found) != repr(expected):
        raise Wrong("damaged values were read")


def _resume(path: Path, intact: Path, same: bool) -> None:
    if same:
        _compare_states(read_checkpoint(path), _read(intact))
    stop_after(1)
    train.main(["--cfg-path", "config.yaml", "--options", f"run.resume_ckpt_path={path}"])


def _pretrained(path: Path, intact: Path, same: bool) -> None:
    stop_after(1)
    options = [f"model.pretrained={path}", "model.load_pretrained=True"]
    train.main(["--cfg-path", "config.yaml", "--options", *options])


def _compare(path: Path, intact: Path, same: bool) -> None:
    main(["compare", str(path.parent), "--output", "out"])


def _export(path: Path, intact: Path, same: bool) -> None:
    main(["export-weights", str(path), "out.safetensors"])
    if same:
        _compare_states(_read(Path("out.safetensors"))["model"], _read(intact)["model"])
    main(["export-checkpoint", "out.safetensors", "out.pth"])


def _import(path: Path, intact: Path, same: bool) -> None:
    main(["import-checkpoint", str(path), "out.safetensors"])
    load_model("fashionfae", "out.safetensors")


class _Code:
    """An object whose pickle runs a program, writes a file or opens one."""

    def __init__(self, function: Callable, *arguments: Any):
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple:
        return self.function, self.arguments


def _code(rng: random.Random, path: Path) -> str:
    outside = outside_of(path)
    codes = {
        "os.system": _Code(os.system, f"touch {outside / 'executed'}"),
        "open": _Code(open, str(outside / "executed"), "w"),
        "eval": _Code(eval, f"open({str(outside / 'executed')!r}, 'w')"),
        "exec": _Code(exec, "import os; os.mkdir('../outside/executed')"),
        "os.remove": _Code(os.remove, str(outside / "password.txt")),
    }
    name = rng.choice(sorted(codes))
    way = rng.choice(
        ("in a checkpoint", "as a weight", "bare pickle", "old torch file", "in the configuration", "bytes")
    )
    content: Any = codes[name]
    if way == "in a checkpoint" or path.suffix == ".safetensors":
        content = {"model": {"weight": torch.zeros(2)}, "config": {"model": {}}, "extra": content}
    elif way == "as a weight":
        content = {"model": {"weight": content}}
    elif way == "in the configuration":
        content = {"model": {"weight": torch.zeros(2)}, "config": content, "data_order": content}
    if way == "bare pickle":
        path.write_bytes(pickle.dumps(content, protocol=rng.choice((0, 2, 4))))
    elif way == "bytes":
        path.write_bytes(torch.serialization.pickle.dumps(torch.serialization.MAGIC_NUMBER, 2) + pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=way != "old torch file")
    return f"is a pickle, {name}, {way}"


def _tensors(rng: random.Random, tensor: torch.Tensor) -> tuple[str, Any]:
    ways: dict[str, Callable[[], Any]] = {
        "nan": lambda: torch.full_like(tensor, torch.nan) if tensor.is_floating_point() else tensor,
        "another shape": lambda: torch.zeros(3, 5),
        "a scalar": lambda: torch.tensor(1.0),
        "empty": lambda: torch.zeros(0),
        "integers": lambda: torch.zeros(tensor.shape, dtype=torch.int8),
        "complex": lambda: torch.zeros(tensor.shape, dtype=torch.complex64),
        "bool": lambda: torch.zeros(tensor.shape, dtype=torch.bool),
        "half": lambda: tensor.to(torch.bfloat16),
        "expanded": lambda: torch.zeros(1).expand(2**33),
        "sparse": lambda: torch.zeros(4, 4).to_sparse(),
        "quantised": lambda: torch.quantize_per_tensor(torch.zeros(4), 0.1, 0, torch.qint8),
        "meta": lambda: torch.empty(2**40, device="meta"),
        "a number": lambda: 1.5,
        "a list": lambda: [1, 2],
        "none": lambda: None,
        "a parameter": lambda: torch.nn.Parameter(torch.zeros(2)),
    }
    name = rng.choice(sorted(ways))
    return name, ways[name]()


def _weights(rng: random.Random, path: Path) -> str:
    """Replaces, removes or adds a weight."""
    if path.suffix == ".safetensors":
        metadata, state = _read_safetensors(path)
    else:
        content = torch.load(path, weights_only=True)
        state = content["model"]
    name = rng.choice(sorted(state))
    way, value = _tensors(rng, state[name])
    key = rng.choice((name, name, name, "unknown.weight", "", "\ud800", 5)) if path.suffix == ".pth" else name
    if rng.random() < 0.15:
        del state[name]
        way = "missing"
    else:
        state[key] = value
    if path.suffix == ".pth":
        torch.save(content, path)
    elif isinstance(value, torch.Tensor) and way not in ("expanded", "sparse", "quantised", "meta"):
        # Without the other entries, such as a digest, the file is one of version 0.1.
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, path, {"config": metadata["config"]})
    else:
        damage_file(rng, path)
    return f"{str(key)[:40]!r} is {way}"


def _configuration(rng: random.Random, path: Path) -> str:
    """Changes the configuration inside."""
    if path.suffix == ".pth":
        content = torch.load(path, weights_only=True)
        key = "config" if "config" in content else "fashionfae_config"
        done, content[key] = damage_value(rng, content[key], rng.choice((1, 1, 3)))
        if rng.random() < 0.1:
            content[key], done = hostile(rng), "replaced"
        torch.save(content, path)
        return f"{key}: {done}"
    metadata, state = _read_safetensors(path)
    key = rng.choice(sorted(metadata))
    try:
        done, value = damage_value(rng, json.loads(metadata[key]), rng.choice((1, 1, 3)))
        text = json.dumps(value)
    except ValueError:  # not json, such as a digest
        done, text = "another text", rng.choice(("", "0", "x" * 9999))
    if rng.random() < 0.2:
        done, content = hostile_json(rng, metadata[key].encode())
        text = content.decode("utf-8", "replace")
    metadata[key] = text
    if rng.random() < 0.7:  # as version 0.1, without a digest
        metadata = {"config": metadata["config"]}
    save_file(state, path, metadata=metadata)
    return f"{key}: {done}"


def _state(rng: random.Random, path: Path) -> str:
    """Changes what resuming reads: counters, the order of the data, the optimizer, the generators."""
    content = torch.load(path, weights_only=True)
    keys = [key for key in content if key != "model"] or ["model"]
    key = rng.choice(keys)
    way = rng.choice(("replace", "inside", "inside", "inside", "remove", "tensor"))
    if way == "remove":
        del content[key]
    elif way == "tensor":
        content[key] = _tensors(rng, torch.zeros(2))[1]
    elif way == "inside" and isinstance(content[key], dict | list) and content[key]:
        done, content[key] = damage_value(rng, content[key], 1)
        way = f"{way}: {done}"
    else:
        content[key] = hostile(rng)
        way = f"{repr(content[key])[:40]}"
    torch.save(content, path)
    return f"{key} {way}"


def _header(rng: random.Random, path: Path) -> str:
    """Changes the header of a safetensors file."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    way = rng.choice(("size", "value", "root", "overlap", "long"))
    text = data[8 : 8 + size]
    if way == "size":
        size = rng.choice((0, 1, size - 1, 2**63, 2**64 - 1, 10**8))
        path.write_bytes(size.to_bytes(8, "little") + data[8:])
        return f"header of {size} bytes"
    if way == "value":
        way, header = damage_value(rng, header, rng.choice((1, 2)))
        text = json.dumps(header).encode()
    elif way == "root":
        way, text = hostile_json(rng, text)
    elif way == "overlap":
        names = [name for name in header if name != "__metadata__"]
        header[names[0]]["data_offsets"] = header[names[1]]["data_offsets"]
        text = json.dumps(header).encode()
    else:
        header["__metadata__"]["x"] = "x" * 50_000_000
        text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
    return f"header: {way}"


def _special(rng: random.Random, path: Path) -> str:
    way = rng.choice(("fifo", "folder", "empty", "loop", "zip", "text", "bomb", "other suffix", "missing"))
    replace_file(path, way)
    if way == "zip":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("../../outside/x", "x")
    elif way == "text":
        path.write_text("weights")
    elif way == "bomb":  # a list of a thousand million nothings, in a few bytes
        rows: Any = None
        for _ in range(9):
            rows = [rows] * 10
        buffer = io.BytesIO()
        torch.save({"model": {"weight": torch.zeros(1)}, "config": {"model": rows}}, buffer)
        path.write_bytes(buffer.getvalue())
    elif way == "other suffix":
        is_torch = path.suffix == ".pth"
        save_file({"a": torch.zeros(2)}, path) if is_torch else torch.save({"model": {"a": torch.zeros(2)}}, path)
    return f"is a {way}"
