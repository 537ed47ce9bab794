"""Examples in docstrings give the results that they show."""

import doctest
import importlib
import pkgutil

import pytest

import fashionfae_lavis

SKIPPED = ("__main__", "fashionfae_lavis.mini.encoders")  # programs


def modules():
    found = pkgutil.walk_packages(fashionfae_lavis.__path__, "fashionfae_lavis.")
    return [module.name for module in found if not module.name.endswith(SKIPPED)]


@pytest.mark.parametrize("name", modules())
def test_examples(name):
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    packages = ("objectives", "metrics")
    names = [name for name in modules() if name.split(".")[1] in packages]
    with_examples = [
        name for name in names if any(test.examples for test in finder.find(importlib.import_module(name)))
    ]
    assert {name.split(".")[1] for name in with_examples} == set(packages)
