"""Registration with the real LAVIS, and its loading functions after it."""

import json
import os
import subprocess
import sys

import lavis
import pytest
import torch
from lavis.common.registry import registry
from lavis.datasets.builders import dataset_zoo
from lavis.models import load_model, load_model_and_preprocess, model_zoo
from omegaconf import OmegaConf
from programs import run_python

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.configuration import Configured
from fashionfae_lavis.plugin import register


class LavisToy(torch.nn.Module):
    """A model of LAVIS; remembers the type it was loaded with."""

    PRETRAINED_MODEL_CONFIG_DICT = {"small": "/nowhere/small.yaml"}

    @classmethod
    def from_pretrained(cls, model_type):
        toy = cls()
        toy.model_type = model_type
        return toy


class Toy(Configured, LavisToy):
    """A model of this package."""

    DEFAULT_MODEL_TYPE = "small"

    @classmethod
    def config_for(cls, model_type):
        text = {"name": "blip_caption", "prompt": f"{model_type}: "}
        return OmegaConf.create({"preprocess": {"text_processor": {"eval": text}}})


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    models = registry.mapping["model_name_mapping"]
    monkeypatch.setitem(models, "toy", Toy)
    monkeypatch.setitem(models, "lavis_toy", LavisToy)


def fresh(code: str, **env) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_zoos_list_the_models_of_both_packages():
    models = dict(model_zoo)
    assert models["fashionfae"] == ["mini", "small", "base"]
    assert "coco" in models["blip_retrieval"] and len(models) > 20
    assert f"{'fashionfae':<30} mini, small, base" in str(model_zoo).splitlines()
    assert {"fashiongen", "fashiongen_mini", "coco_caption"} <= set(dataset_zoo.get_names())


@pytest.mark.parametrize(
    ("find", "name"),
    [
        (registry.get_model_class, "fashionfae"),
        (registry.get_builder_class, "fashiongen_mini"),
        (registry.get_processor_class, "fashionfae_text"),
        (registry.get_task_class, "fashionfae_pretrain"),
        (registry.get_runner_class, "fashionfae_runner"),
    ],
)
def test_the_registry_holds(find, name):
    assert find(name) is not None


def test_a_second_registration_changes_nothing():
    before = (lavis.models.load_model, dict(model_zoo))
    register()
    assert (lavis.models.load_model, dict(model_zoo)) == before


def test_lavis_re_exports_the_same_load_model():
    assert lavis.load_model is lavis.models.load_model is load_model


@pytest.mark.parametrize(("arguments", "expected"), [((), "small"), (("large",), "large"), (("a/b.pth",), "a/b.pth")])
def test_model_type_may_be_left_out_or_be_a_path(arguments, expected):
    assert load_model("toy", *arguments).model_type == expected
    model, image_processors, text_processors = load_model_and_preprocess("toy", *arguments, is_eval=True)
    assert model.model_type == expected and not model.training
    assert set(image_processors) == {"train", "eval"}
    assert text_processors["eval"]("A Coat.") == f"{expected}: a coat"


def test_other_models_still_need_a_model_type():
    for load in (load_model, load_model_and_preprocess):
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'model_type'"):
            load("lavis_toy")
    assert load_model("lavis_toy", model_type="x").model_type == "x"


def test_an_unknown_model_raises_with_similar_names():
    for load in (load_model, load_model_and_preprocess):
        with pytest.raises(UserError, match='no model called "fashonfae"; did you mean fashionfae'):
            load("fashonfae", "mini")
    with pytest.raises(UserError, match="albef_classification, .*toy"):
        load_model("???")


def test_turned_off_lavis_is_unchanged_until_this_package_is_imported():
    code = """
import json, lavis
from lavis.models import model_zoo
facts = ["fashionfae" in dict(model_zoo), hasattr(lavis.models.load_model, "__wrapped__")]
import fashionfae_lavis
facts += ["fashionfae" in dict(model_zoo), hasattr(lavis.models.load_model, "__wrapped__")]
print(json.dumps(facts))"""
    done = fresh(code, FASHIONFAE_LAVIS_AUTOLOAD="0")
    assert json.loads(done.stdout) == [False, False, True, True], done.stderr


def test_any_module_of_this_package_may_be_the_first_import():
    """Imports each in a fork of one process, which has imported what takes LAVIS seconds, but not LAVIS."""
    code = """
import importlib, os, sys
import cv2, matplotlib.pyplot, pandas, timm, torchvision, transformers
assert not {"lavis", "fashionfae_lavis"} & {*sys.modules}
for module in ("datasets.datasets.products", "models.image_encoder", "loading"):
    child = os.fork()
    if not child:
        importlib.import_module(f"fashionfae_lavis.{module}")
        from lavis.models import model_zoo
        print(module, "fashionfae" in dict(model_zoo), flush=True)
        os._exit(0)
    os.waitpid(child, 0)"""
    done = fresh(code)
    assert done.stdout.splitlines() == [
        "datasets.datasets.products True",
        "models.image_encoder True",
        "loading True",
    ], done.stderr


def test_train_without_arguments_prints_its_usage(tmp_path):
    done = run_python(["-m", "lavis.train"], tmp_path)
    assert done.returncode == 2
    assert "--cfg-path" in done.stderr and "Traceback" not in done.stderr
