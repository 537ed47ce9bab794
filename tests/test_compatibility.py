"""Files written by version 0.1 (commit 40cada5) still load and give the same figures as in version 0.1.

`data/version_0_1/` holds a run that was stopped after 8 of 12 updates on a drawn dataset of 40 + 20 products (seed 7,
tests/tiny.yaml), its results after resuming, and one checkpoint of each kind.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from lavis.models import load_model
from omegaconf import OmegaConf
from PIL import Image
from tiny import tiny_samples

from fashionfae_lavis.datasets.datasets.catalogue_file import read_catalogue
from fashionfae_lavis.mini.fashiongen import prepare
from fashionfae_lavis.models.adapters import adapt
from fashionfae_lavis.train import load_config, run_config

FILES = Path(__file__).parent / "data" / "version_0_1"
EXPECTED = np.load(FILES / "expected.npz")


@pytest.mark.parametrize(
    ("arch", "name"), [("fashionfae", "pretrain.safetensors"), ("fashion_clip", "fashion_clip.pth")]
)
def test_embeddings_of_a_checkpoint(arch, name):
    adapter = adapt(load_model(arch, str(FILES / name), is_eval=True))
    samples = tiny_samples(4)
    key = arch if arch == "fashion_clip" else "pretrain"
    for side, found in (
        ("image", adapter.embed_images(samples["image"])),
        ("text", adapter.embed_texts(samples["text_input"])),
    ):
        np.testing.assert_allclose(found.numpy(), EXPECTED[f"{key}.{side}"], atol=1e-5)


def test_logits_of_a_recognition_checkpoint():
    model = load_model("fashionfae_recognition", str(FILES / "recognition.pth"), is_eval=True)
    logits = model.predict(tiny_samples(4))["predictions"]
    np.testing.assert_allclose(logits.numpy(), EXPECTED["recognition.logits"], atol=1e-5)


def test_a_prepared_catalogue(tmp_path):
    text = (FILES / "catalogue.jsonl").read_text()
    (tmp_path / "catalogue.jsonl").write_text(text)
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (40, 40), "red").save(tmp_path / "photos" / "0.png")
    splits = read_catalogue(tmp_path)
    assert {name: len(file.product_ids) for name, file in splits.items()} == {"train": 9, "val": 3}
    assert splits["val"].texts["colour"][0] == "red" and splits["val"].image(0).size == (40, 40)


@pytest.mark.slow
def test_a_stopped_run_goes_on_as_it_did(tmp_path, monkeypatch):
    """Configuration, checkpoint, metrics and candidate lists of a run; four more updates and its evaluation."""
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path / "data", train_products=40, validation_products=20, image_size=64)
    folder = tmp_path / "output" / "run"
    folder.mkdir(parents=True)
    shutil.copy(FILES / "pretrain.pth", folder / "checkpoint_last.pth")
    shutil.copy(FILES / "candidates.json", tmp_path / "lists.json")
    config = OmegaConf.load(FILES / "config.yaml")
    config.datasets.fashiongen.build_info.images.storage = str(tmp_path / "data")
    config.run.resume_ckpt_path = "output/run/checkpoint_last.pth"
    OmegaConf.save(config, "config.yaml")

    results = run_config(load_config(argparse.Namespace(cfg_path="config.yaml", options=None)))

    found, expected = (
        [json.loads(line) for line in path.read_text().splitlines()]
        for path in (folder / "metrics.jsonl", FILES / "metrics.jsonl")
    )
    then = {line["iteration"]: line for line in expected if line["phase"] == "train"}
    again = {line["iteration"]: line for line in found if line["phase"] == "train"}
    assert sorted(again) == [9, 10, 11, 12]
    for iteration, line in again.items():
        for name, value in then[iteration].items():
            if name not in ("seconds", "phase"):
                assert line[name] == pytest.approx(value, rel=1e-3, abs=1e-4), (iteration, name)
    before = json.loads((FILES / "results.json").read_text())["val"]
    now = json.loads((folder / "results.json").read_text())["val"]
    assert now.keys() - before.keys() == {"equal_texts"} and before.keys() <= now.keys()
    assert now["sub_test_lists"] == before["sub_test_lists"] and now["chance"] == before["chance"]
    # Near-chance recalls of a few queries: one rank more or less is rounding.
    assert now["agg_metrics"] == pytest.approx(before["agg_metrics"], abs=3)
    assert results["val"]["agg_metrics"] == now["agg_metrics"]
    last = torch.load(folder / "checkpoint_last.pth", weights_only=True)
    assert last["iters"] == 12 and last["data_order"]["run.batch_size_train"] == 8
