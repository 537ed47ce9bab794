"""Fuzzer of JSON, YAML and text files: indexes, lists, plans, results and vocabularies, edited by hand or damaged."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import yaml

from fashionfae_lavis.cli import main
from fashionfae_lavis.compare.plan import read_plan
from fashionfae_lavis.datasets.datasets.catalogue_file import read_catalogue
from fashionfae_lavis.datasets.datasets.fashioniq import FashionIQDataset, FashionIQEvalDataset
from fashionfae_lavis.datasets.datasets.fashionvil_file import read_fashionvil
from fashionfae_lavis.evaluation.candidates_file import candidate_lists
from fashionfae_lavis.figures import tables
from fashionfae_lavis.models.configuration import shipped
from fashionfae_lavis.models.vocabulary import load_tokenizer
from fashionfae_lavis.text.word_pieces import tokenize_texts

from . import hdf5
from .checks import check_columns, check_texts
from .files import GARMENTS, catalogue_lines, write_fashioniq, write_lines, write_photographs
from .harness import Case, Wrong
from .mutations import damage_bytes, damage_value, hostile_json, replace_file

ROOT = Path(__file__).parents[2]
RECALLS = dict.fromkeys(("i2t_r1", "i2t_r5", "i2t_r10", "t2i_r1", "t2i_r5", "t2i_r10", "mean"), 50.0)
MODE = {"full": RECALLS, "sub": {"mean": 40.0, "queries": 100, "short_queries": 0}}
SPLIT = SimpleNamespace(
    product_ids=np.arange(40), row_product=np.repeat(np.arange(40), 2), subcategory=np.array(["a", "b"] * 20)
)


def prepare(shared: Path) -> None:
    """Writes one intact file, or folder of files, of each format."""
    photos = write_photographs(shared / "photos", 8)
    write_lines(shared / "catalogue.jsonl", catalogue_lines(photos))
    shutil.copytree(shared / "photos", shared / "iq" / "images")
    write_fashioniq(shared / "iq", photos)
    shutil.copytree(shared / "photos", shared / "vil" / "images")
    entries = [
        {"images": [name], "title": f"shirt {number}", "description": "long", "id": number, "color": "red"}
        for number, name in enumerate(photos)
    ]
    (shared / "vil" / "train_info.json").write_text(json.dumps(entries))
    (shared / "gen").mkdir()
    hdf5.prepare(shared / "gen")
    main(["prepare", "fashiongen", "--root", str(shared / "gen")])
    candidate_lists(SPLIT, shared / "candidates.json")  # type: ignore[arg-type]
    data = {"build_info": {"images": {"storage": "mini"}}, "text_processor": {"eval": {"mode": "recognition"}}}
    config = {
        "run": {"task": "fashion_retrieval", "test_splits": ["val"], "evaluate": True, "seed": 1},
        "model": {"arch": "fashionfae_retrieval", "pretrained": None},
        "datasets": {"fashiongen_mini": data},
    }
    (shared / "run").mkdir()
    (shared / "run" / "config.yaml").write_text(yaml.safe_dump(config))
    results = {"val": {"description": MODE, "chance": 0.25, "sub_test_lists": "abc"}}
    (shared / "run" / "results.json").write_text(json.dumps(results))
    plan = {
        "title": "Plan",
        "output": "output",
        "seeds": [0, 1],
        "training": {"run.max_iters": 3},
        "evaluations": {"retrieval": {"config": str(ROOT / "projects/fashionfae/retrieval_eval.yaml")}},
        "systems": {
            "A": {"config": str(ROOT / "projects/fashionfae/pretrain.yaml"), "options": {"run.warmup_steps": 1}},
            "B": {"config": str(ROOT / "projects/clip/pretrain.yaml"), "evaluations": {"retrieval": None}},
        },
    }
    (shared / "plan.yaml").write_text(yaml.safe_dump(plan))
    shutil.copytree(ROOT / "docs", shared / "published" / "docs", ignore=shutil.ignore_patterns("*.png"))
    for name in ("results.yml", "README.md"):
        shutil.copy(ROOT / name, shared / "published")
    shutil.copytree(shipped("vocabularies", "mini"), shared / "vocabulary")


def make(rng: random.Random, shared: Path, folder: Path) -> Case:
    """Changes one file of one format and reads it."""
    name, reader = rng.choice(sorted(READERS.items()))
    source = shared / name.split("/")[0]
    if source.is_dir():
        shutil.copytree(source, folder, dirs_exist_ok=True)
        path = folder / name.partition("/")[2]
    else:
        shutil.copy(source, folder)
        path = folder / name
    if name == "catalogue.jsonl":
        shutil.copytree(shared / "photos", folder / "photos")
    done = _change(rng, path)
    return Case(f"{name}: {done}", lambda: reader(folder, path))


def _change(rng: random.Random, path: Path) -> str:
    way = rng.choice(("value", "value", "value", "values", "bytes", "bytes", "root", "special"))
    if way == "special":
        return _special(rng, path)
    content = path.read_bytes()
    if way == "bytes" or path.suffix == ".txt":
        done, content = damage_bytes(rng, content)
    elif way == "root":
        done, content = hostile_json(rng, content)
    elif path.suffix in (".yaml", ".yml"):
        done, value = damage_value(rng, yaml.safe_load(content), 1 if way == "value" else 4)
        content = yaml.safe_dump(value, allow_unicode=True).encode("utf-8", "surrogatepass")
    else:
        lines = [json.loads(line) for line in content.splitlines()] if path.suffix == ".jsonl" else json.loads(content)
        done, value = damage_value(rng, lines, 1 if way == "value" else 4)
        texts = value if path.suffix == ".jsonl" and isinstance(value, list) else [value]
        ascii_only = rng.random() < 0.5
        text = "\n".join(json.dumps(one, ensure_ascii=ascii_only) for one in texts) + "\n"
        content = text.encode("utf-8", "surrogatepass")
    path.write_bytes(content)
    return done


def _special(rng: random.Random, path: Path) -> str:
    way = rng.choice(("fifo", "folder", "loop", "device", "missing"))
    replace_file(path, way)
    return way


def _catalogue(folder: Path, path: Path) -> list:
    files = read_catalogue(folder)
    for file in files.values():
        for row in range(len(file.row_product)):
            file.image(row)
        check_columns(file)
    return [file.texts for file in files.values()]


def _fashioniq(folder: Path, path: Path) -> list:
    found = []
    for split, kind in (("train", FashionIQDataset), ("val", FashionIQEvalDataset)):
        dataset = kind(folder, split, lambda image: image.size, str)
        check_texts(caption for request in dataset.requests for caption in request.captions)
        for index in range(len(dataset)):
            _picture(dataset, index)
        found.append(dataset.requests)
    return found


def _picture(dataset: Any, index: int) -> None:
    keys = list(dataset.paths)
    dataset.photograph(keys[index % len(keys)])


def _fashionvil(folder: Path, path: Path) -> list:
    file = read_fashionvil(folder, "train")
    for row in range(len(file.row_product)):
        file.image(row)
    check_texts(text for texts in file.texts.values() for text in texts)
    return [file.texts]


def _index(folder: Path, path: Path) -> list:
    data = folder / "fashiongen_256_256_train.h5"
    # The index has to belong to the copied file.
    text = path.read_text(encoding="utf-8", errors="surrogateescape") if path.is_file() else ""
    try:
        content = json.loads(text)
        status = data.stat()
        content["source"].update(bytes=status.st_size, modified=status.st_mtime_ns)
        path.write_text(json.dumps(content), encoding="utf-8")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return hdf5._read(folder, data)


def _candidates(folder: Path, path: Path) -> None:
    for draw in candidate_lists(SPLIT, path):  # type: ignore[arg-type]
        for lists in draw:
            if lists.candidate.max(initial=0) >= 80 or len(lists.query) != len(lists.candidate):
                raise Wrong("a list names an unknown candidate")


def _finished(folder: Path, path: Path) -> None:
    main(["compare", ".", "--output", "out"])
    if not Path("out/table.md").read_text():
        raise Wrong("no table")


def _plan(folder: Path, path: Path) -> None:
    plan = read_plan(path.name)
    if not plan.jobs or not all(job.digest for job in plan.jobs):
        raise Wrong("a plan without jobs")


def _results(folder: Path, path: Path) -> None:
    tables.main([])
    main(["reproduce"])


def _vocabulary(folder: Path, path: Path) -> None:
    tokenizer = load_tokenizer(str(folder))
    ids, mask = tokenize_texts(["A red linen shirt. [SEP] colour is red", ""], tokenizer, 20)
    if ids.shape != mask.shape or int(ids.max()) >= len(tokenizer) or int(ids.min()) < 0:
        raise Wrong("a word piece is out of range")


READERS: dict[str, Callable[[Path, Path], Any]] = {
    "catalogue.jsonl": _catalogue,
    **{f"iq/captions/cap.{garment}.train.json": _fashioniq for garment in GARMENTS[:2]},
    "iq/image_splits/split.shirt.val.json": _fashioniq,
    "vil/train_info.json": _fashionvil,
    "gen/fashiongen_256_256_train.index.json": _index,
    "candidates.json": _candidates,
    "run/config.yaml": _finished,
    "run/results.json": _finished,
    "plan.yaml": _plan,
    "published/results.yml": _results,
}
READERS |= {f"vocabulary/{path.name}": _vocabulary for path in Path(shipped("vocabularies", "mini")).iterdir()}
