"""Builds the parts of configurations and results that a comparison reads."""

import json

from omegaconf import OmegaConf

RECALLS = {"i2t_r1": 1.0, "i2t_r5": 2.0, "i2t_r10": 3.0, "t2i_r1": 4.0, "t2i_r5": 5.0, "t2i_r10": 6.0, "mean": 3.5}
SUB = {"mean": 40.0, "queries": 100, "short_queries": 0}


def config(task, **changes):
    """Builds a configuration; `changes` are keys of run, model or the dataset."""
    data = {"build_info": {"images": {"storage": "mini"}}, "text_processor": {"eval": {"mode": "recognition"}}}
    sections = {
        "run": {"task": task, "test_splits": ["val"], "probe_products": 50, "seed": 42},
        "model": {"arch": "fashionfae", "use_text": True},
        "data": {**data, "label": "category"},
    }
    for name, value in changes.items():
        (section,) = [section for section in sections.values() if name in section]
        section[name] = value
    return {"run": sections["run"], "model": sections["model"], "datasets": {"fashiongen_mini": sections["data"]}}


def retrieval(chance=0.25, lists="abc"):
    mode = {"full": RECALLS, "sub": SUB}
    reranked = {**mode, "reranked": {**RECALLS, "i2t_r1": 9.0, "k_test": 16}}
    return {"description": mode, "description+attributes": reranked, "chance": chance, "sub_test_lists": lists}


def recognition():
    chance = {"accuracy": 10.0, "macro_f1": 2.0}
    return {"accuracy": 90.0, "macro_f1": 80.0, "chance": chance, "images": 30, "classes": 4}


def probe():
    def row(seen, itc, chance, pairs=None):
        told = {} if pairs is None else {"pairs": {"accuracy": pairs, "n": 7}}
        return {"seen": seen, "itc": {"accuracy": itc}, "chance": chance, "values": 4, "products": 50, **told}

    attributes = {"colour": row(True, 60.0, 25.0, 90.0), "trim": row(True, 20.0, 15.0), "season": row(False, 1.0, 1.0)}
    return {"attributes": attributes}


def write_run(folder, task, results=None, pretrained=None, **run):
    """Writes a run's output folder and returns its path."""
    folder.mkdir(parents=True)
    content = config(task)
    content["run"].update(run)
    content["model"].update(pretrained=str(pretrained) if pretrained else None)
    OmegaConf.save(OmegaConf.create(content), folder / "config.yaml")
    if results:
        (folder / "results.json").write_text(json.dumps({"val": results}))
    return str(folder)
