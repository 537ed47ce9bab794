"""The scripts in examples/ and the README's code run as they stand."""

import re
import runpy
from functools import partial
from pathlib import Path

import pytest

from fashionfae_lavis.mini import fashiongen

ROOT = Path(__file__).parents[2]
PREPARE = fashiongen.prepare


@pytest.fixture
def few_products(tmp_path_factory, monkeypatch):
    """Draws FashionGen-Mini with six products per split."""
    monkeypatch.setenv("FASHIONFAE_CACHE", str(tmp_path_factory.getbasetemp() / "few_products"))
    monkeypatch.setattr(fashiongen, "prepare", partial(PREPARE, train_products=6, validation_products=6))


def test_the_code_of_the_readme(few_products, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    scores = [float(line.split()[0]) for line in capsys.readouterr().out.splitlines()]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert max(map(abs, scores)) <= 1


def test_search_by_text(few_products, capsys):
    main = runpy.run_path(str(ROOT / "examples" / "search_by_text.py"))["main"]
    main(["black dress", "--top", "3"])
    scores = [float(line.split()[0]) for line in capsys.readouterr().out.splitlines()]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)


def test_custom_loss(capsys):
    runpy.run_path(str(ROOT / "examples" / "custom_loss.py"))["main"]()
    before, after = (line.split() for line in capsys.readouterr().out.splitlines())
    assert float(after[3]) < 0.6 * float(before[3])
    assert int(after[-1].rstrip("%")) > int(before[-1].rstrip("%"))


@pytest.mark.slow
def test_search_page(tmp_path, tmp_path_factory, monkeypatch, capsys):
    """All steps run, with a second of training."""
    monkeypatch.setenv("FASHIONFAE_CACHE", str(tmp_path_factory.getbasetemp() / "some_products"))
    monkeypatch.setattr(fashiongen, "prepare", partial(PREPARE, train_products=1, validation_products=30))
    main = runpy.run_path(str(ROOT / "examples" / "search_page.py"))["main"]
    main([str(tmp_path / "shop"), "--products", "30", "--minutes", "0.02"])
    out = capsys.readouterr().out
    steps = re.findall(r"^\$ fashionfae (\w+)", out, re.MULTILINE)
    assert steps == ["prepare", "train", "embed", "index", "search", "search", "label", "serve"]
    assert int(re.search(r"has [\d,]+ characters and (\d+) photographs", out)[1]) >= 10
    with open(tmp_path / "shop" / "labelled.csv", encoding="utf-8") as file:
        assert len(file.readlines()) == 31
