"""The schema names the settings that the code reads, with the same defaults, and docs/configuration.md lists them."""

import ast
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from fashionfae_lavis.schema import datasets, models, reference, run
from fashionfae_lavis.schema.fields import Section
from fashionfae_lavis.schema.run import OfLavis, Run, Written

PACKAGE = Path(__file__).parents[2] / "fashionfae_lavis"
RUNS = ("run", "run_cfg")  # names that the code gives to the `run` section
NO_DEFAULT = object()
CODE = [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent.name != "schema"]


def reads_of_run():
    """Yields file, key and default of every `run.get(key, default)` and `run.key` in the package."""
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get"
            if called and _is_run(node.func.value) and isinstance(node.args[0], ast.Constant):
                default = (
                    ast.literal_eval(node.args[1]) if len(node.args) > 1 and _is_literal(node.args[1]) else NO_DEFAULT
                )
                yield path.name, node.args[0].value, default


def _is_run(node):
    return (isinstance(node, ast.Name) and node.id in RUNS) or (isinstance(node, ast.Attribute) and node.attr in RUNS)


def _is_literal(node):
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


def test_every_key_that_the_code_reads_is_in_the_schema_with_its_default():
    reads = list(reads_of_run())
    assert len(reads) > 40
    for file, key, default in reads:
        assert key in Run.model_fields, f"{file} reads run.{key}, which fashionfae_lavis/schema/run.py lacks"
        declared = Run.model_fields[key].get_default(call_default_factory=True)
        assert default is NO_DEFAULT or default == declared, (
            f"{file}: run.{key} is {default} by default, not {declared}"
        )


def test_every_key_in_the_schema_is_read():
    text = "".join(path.read_text(encoding="utf-8") for path in CODE)
    for key in Run.model_fields.keys() - OfLavis.model_fields.keys() - Written.model_fields.keys() - {"train_splits"}:
        assert f'"{key}"' in text or f"run.{key}" in text or f"run_cfg.{key}" in text, key


@pytest.mark.parametrize("module", [run, models, datasets], ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_setting_is_described_and_in_the_reference(module):
    listed = {kind for kinds in reference.CHAPTERS.values() for kind in kinds}
    for kind in vars(module).values():
        if isinstance(kind, type) and issubclass(kind, Section) and kind.__module__ == module.__name__:
            fields = reference.own_fields(kind)
            assert kind in listed or not fields, kind
            assert all(isinstance(field, FieldInfo) and field.description for field in fields.values()), kind


def test_the_page_agrees_with_the_schema(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(PACKAGE.parent)
    reference.main(["--check"])
    page = reference.PAGE.read_text(encoding="utf-8")
    assert "| `max_iters` | a whole number of at least 1 or null | null | Updates of the weights. |" in page

    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    reference.PAGE.write_text(page.replace("Updates of the weights", "Epochs"), encoding="utf-8")
    with pytest.raises(SystemExit, match="1"):
        reference.main(["--check"])
    assert "run `make tables`" in capsys.readouterr().err
    reference.main([])
    assert reference.PAGE.read_text(encoding="utf-8") == page
