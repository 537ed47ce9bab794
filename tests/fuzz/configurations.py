"""Fuzzer of configurations: all recipes of projects/ and a tiny training, with changed keys and options."""

import random
import shutil
from argparse import Namespace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from fashionfae_lavis import train
from fashionfae_lavis.configuration import load_config

from .files import catalogue_lines, stop_after, tiny_config, write_lines, write_photographs
from .harness import Case, Enough, Wrong
from .mutations import damage_bytes, damage_value, places

ROOT = Path(__file__).parents[2]
# Task, model and dataset of the tiny trainings.
TRAININGS = (
    ("fashionfae_pretrain", "fashionfae", "catalogue"),
    ("fashionfae_pretrain", "fashionfae", "catalogue"),
    ("fashion_retrieval", "fashionfae_retrieval", "catalogue_retrieval"),
    ("fashion_recognition", "fashionfae_recognition", "catalogue_recognition"),
    ("attribute_probe", "fashionfae", "catalogue"),
)
# Values that make no sense, or are of a wrong type. None of them asks for a long run or a large model.
TEXTS = (
    "",
    "two",
    "1e-3x",
    "../outside/password.txt",
    "None",
    "auto",
    "${run.seed}",
    "${run.output_dir}",
    "${nothing.x}",
)
TEXTS += ("${oc.env:HOME}", "${..}", "???", "${", "\0", "é" * 2000, "\ud800", "nan", "-1", "1e999", "[1", "{", "*", "|")
NUMBERS = (-1, 0, 0.5, 8.7, -3.2, 1e-320, float("nan"), float("inf"), 10**18, -(10**18), 10**400, True, False)
OTHERS: tuple[Any, ...] = (None, [], {}, [[]], {"a": 1}, ["train", "train"], [None], [{}], {"": ""}, {1: 2})
WHOLE = ("max_iters", "batch_size_train", "batch_size_eval", "iters_per_inner_epoch", "num_workers", "warmup_steps")
POSITIVE = ("init_lr", "min_lr", "weight_decay", "max_grad_norm", "warmup_factor")
UNKNOWN = ("run.max_iter", "model.image_sise", "run.resume_ckpt", "datasets.catalogue.rooot", "rum.seed", "run.steps.0")
OPTIONS = (
    "run",
    "run.",
    "=",
    "a",
    "run=1",
    "model=",
    "datasets=[]",
    ".=1",
    "run.max_iters",
    "run.seed==1",
    "[=1",
    "\ud800=1",
)
OPTIONS += (
    "run.steps=[{objectives: [itc], ratio: -1}]",
    "run.steps=[]",
    "run.steps=[{}]",
    "run.init_lr=True",
    "run={}",
)
OPTIONS += (
    "run.lr_scale={none: 1}",
    "run.train_splits=[val]",
    "run.test_splits=[none]",
    "datasets.none={}",
    "model.arch=x",
)


def prepare(shared: Path) -> None:
    """Writes a catalogue of 24 products."""
    photos = write_photographs(shared / "photos", 24)
    write_lines(shared / "catalogue.jsonl", catalogue_lines(photos))


def make(rng: random.Random, shared: Path, folder: Path) -> Case:
    """Changes a recipe and loads it, or changes a tiny training and starts it."""
    recipes = sorted(path for path in (ROOT / "projects").rglob("*.yaml") if path.parent.name != "compare")
    train_it = rng.random() < 0.5
    if train_it:
        shutil.copytree(shared, folder, dirs_exist_ok=True)
        task, arch, data = rng.choice(TRAININGS)
        content, what = tiny_config(".", task, arch, data), f"train {task}"
        if data == "catalogue_recognition":
            content["datasets"][data]["label"] = "kind"
    else:
        recipe = rng.choice(recipes)
        content, what = yaml.safe_load(recipe.read_text(encoding="utf-8")), f"load {recipe.relative_to(ROOT)}"
    options = _options(rng, content)
    done, unknown = _write(rng, content, folder / "config.yaml")
    unknown += [option for option in options if option.split("=")[0] in UNKNOWN]
    evaluate = train_it and rng.random() < 0.1
    return Case(f"{what}: {done} {options}", lambda: (_train if train_it else _load)(options, unknown, evaluate))


def _load(options: list[str], unknown: list[str], evaluate: bool) -> None:
    _check(load_config(Namespace(cfg_path="config.yaml", options=options or None)), unknown)


def _train(options: list[str], unknown: list[str], evaluate: bool) -> None:
    arguments = ["--cfg-path", "config.yaml", *(["--options", *options] if options else [])]
    stop_after(2)
    try:
        train.main(arguments, evaluate=evaluate)
    except Enough:
        _check(load_config(Namespace(cfg_path="config.yaml", options=options or None)), unknown)
        raise


def _check(config: Any, unknown: list[str]) -> None:
    """Raises Wrong if a configuration was accepted that makes no sense."""
    container: Any = OmegaConf.to_container(config.config, resolve=True)
    for section in ("run", "model", "datasets"):
        if not isinstance(container.get(section), dict):
            raise Wrong(f"a configuration without the section {section}")
    if unknown:
        raise Wrong(f"an unknown key was accepted: {unknown[0]}")
    run = container["run"]
    for key in (*WHOLE, *POSITIVE):
        value = run.get(key)
        if value is None:
            continue
        kinds = int if key in WHOLE else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not 0 <= value < float("inf"):
            raise Wrong(f"run.{key} was accepted as {str(value)[:100]!r}")


def _write(rng: random.Random, content: dict, path: Path) -> tuple[str, list[str]]:
    """Writes the configuration with some changes; returns what was done, and the unknown keys that were added."""
    way = rng.choice(("value", "value", "value", "values", "bytes", "unknown", "intact", "yaml"))
    done, unknown = way, []
    if way.startswith("value"):
        done = ", ".join(_change(rng, content) for _ in range(1 if way == "value" else 3))
    elif way == "unknown":
        done, unknown = _add(rng, content)
    data = yaml.safe_dump(content, allow_unicode=True, sort_keys=False).encode("utf-8", "surrogatepass")
    if way == "bytes":
        done, data = damage_bytes(rng, data)
    elif way == "yaml":
        done, data = _odd_yaml(rng, data)
    path.write_bytes(data)
    return done, unknown


def _change(rng: random.Random, content: dict) -> str:
    if rng.random() < 0.25:
        return damage_value(rng, content, 1)[0]
    *path, key = rng.choice(places(content))
    parent: Any = content
    for step in path:
        parent = parent[step]
    if isinstance(parent[key], int | float) and rng.random() < 0.5:  # a value that may make sense
        mild = (not parent[key],) if isinstance(parent[key], bool) else (1, 2, parent[key] * 2, parent[key] / 2, 3e-4)
        parent[key] = rng.choice(mild)
    else:
        parent[key] = rng.choice(rng.choice((TEXTS, NUMBERS, NUMBERS, OTHERS)))
    return f"{'.'.join(map(str, (*path, key)))} = {repr(parent[key])[:40]}"


def _add(rng: random.Random, content: dict) -> tuple[str, list[str]]:
    """Adds a misspelled key to a section, or makes a list longer."""
    *path, key = rng.choice(places(content))
    parent: Any = content
    for step in path:
        parent = parent[step]
    if isinstance(parent, list):
        parent.append(parent[key])
        return f"{'.'.join(map(str, path))} is longer", []
    wrong = str(key)[:-1] + rng.choice("xq_") if rng.random() < 0.7 else "unknown"
    parent[wrong] = parent[key]
    shown = ".".join(map(str, (*path, wrong)))
    # Some keys are names that the user chooses, such as those of datasets and of parameters in run.lr_scale.
    is_section = path in (["run"], ["model"]) or (len(path) == 2 and path[0] == "datasets")
    return f"unknown key {shown}", [shown] if is_section else []


def _odd_yaml(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    laughs = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (c + 1, c + 1, b",".join([b"*%c" % c] * 9)) for c in range(97, 106)
    )
    choices = {
        "aliases of aliases": laughs + data,
        "an alias of itself": b"run: &r {a: *r}\n",
        "python code": b"run: !!python/object/apply:os.system ['touch ../outside/executed']\n" + data,
        "deep nesting": b"run: " + b"[" * 20_000,
        "deep mapping": b"{a: " * 5000,
        "a tab": data.replace(b"  ", b"\t"),
        "two documents": data + b"---\n" + data,
        "a key twice": data + data,
        "a list": b"- 1\n",
        "a text": b"text",
        "empty": b"",
        "not utf-8": b"\xff\xfe" + data,
        "utf-16": data.decode("utf-8", "replace").encode("utf-16"),
        "a merge": b"<<: 1\n" + data,
        "a date": data.replace(b"seed: ", b"seed: 2020-01-01 #"),
        "octal": data.replace(b"seed: ", b"seed: 0o17 #"),
        "a tag": data.replace(b"seed: ", b"seed: !!binary "),
        "interpolation": data.replace(b"seed: ", b"seed: ${run.seed} #"),
    }
    name = rng.choice(sorted(choices))
    return name, choices[name]


def _options(rng: random.Random, content: dict) -> list[str]:
    """Returns up to two options that override known or unknown keys."""
    options = []
    for _ in range(rng.choice((0, 0, 0, 0, 1, 2))):
        if rng.random() < 0.3:
            options.append(rng.choice(OPTIONS))
        elif rng.random() < 0.2:
            options.append(f"{rng.choice(UNKNOWN)}={rng.choice(NUMBERS[:8])}")
        else:
            key = ".".join(map(str, rng.choice(places(content))))
            options.append(f"{key}={rng.choice(rng.choice((TEXTS, NUMBERS, OTHERS)))}")
    return [option for option in options if "\0" not in option and not option.startswith("-")]
