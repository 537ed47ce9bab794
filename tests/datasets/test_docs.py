"""The example in docs/datasets.md runs, and its tables are complete."""

import json
import re
from pathlib import Path

import pytest
import yaml
from PIL import Image
from programs import run_python

from fashionfae_lavis.datasets import protocols

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r'```\w+ title="([^"]+)"\n(.*?)```', PAGE, re.DOTALL))


def test_the_tables_name_every_member_and_key():
    for protocol, item in protocols.ITEMS.items():
        members = set(protocols._members(protocol)) - {"__len__", "collater"}
        for name in members | set(item.__annotations__):
            assert re.search(rf"`{name}[`(]", PAGE), f"{protocol.__name__}: {name}"
        assert f"`{item.__name__}`" in PAGE


def test_the_example_has_the_settings_of_the_recipe_for_a_catalogue():
    example = yaml.safe_load(FILES["pretrain_shop.yaml"])["run"]
    recipe = yaml.safe_load((ROOT / "projects/fashionfae/catalogue/pretrain.yaml").read_text())["run"]
    assert "max_epoch" in example
    assert {key for key in example if example[key] != recipe.get(key)} == {"output_dir", "test_splits"}


@pytest.mark.slow
def test_the_example_trains(tmp_path):
    assert set(FILES) == {"shop.py", "shop.yaml", "train_shop.py", "pretrain_shop.yaml"}
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "photos").mkdir()
    (tmp_path / "elsewhere").mkdir()  # the example finds its photographs from any working directory
    for split, first in (("train", 0), ("val", 8)):
        products = []
        for i in range(first, first + 8):
            photos = [f"{i}_{view}.png" for view in range(1 + i % 2)]
            for photo in photos:
                Image.new("RGB", (130, 140), (20 * i, 0, 90)).save(tmp_path / "photos" / photo)
            products.append({"title": f"Shirt {i}", "colour": ("red", "blue")[i % 2], "photos": photos})
        (tmp_path / "photos" / f"{split}.json").write_text(json.dumps(products))
    options = ["run.max_iters=2", "run.iters_per_inner_epoch=2", "run.batch_size_train=4", "run.num_workers=0"]
    command = ["../train_shop.py", "--cfg-path", "../pretrain_shop.yaml", "--options", *options]
    done = run_python(command, tmp_path / "elsewhere")
    assert done.returncode == 0, done.stderr
    (results,) = (tmp_path / "elsewhere" / "output" / "shop").glob("*/results.json")
    assert set(json.loads(results.read_text())["val"]["aetp"]) == {"colour"}
