"""README, documentation and results.yml agree with the code, the recipes and each other."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fashionfae_lavis.compare.published import RECOGNITION, RETRIEVAL
from fashionfae_lavis.figures.results import load_results

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
RESULTS = load_results(ROOT / "results.yml")
RECALLS = ("i2t_r1", "i2t_r5", "i2t_r10", "t2i_r1", "t2i_r5", "t2i_r10", "mean")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)", prose):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page):
    text = page.read_text(encoding="utf-8")
    for name in re.findall(
        r"`((?:projects|benchmarks|run_scripts|tests|examples|docs|fashionfae_lavis)/[\w./-]*)`", text
    ):
        assert (ROOT / name).exists() or name == "fashionfae_lavis/objectives/sigmoid.py", name
    for name in re.findall(
        r"`((?:models|objectives|masking|metrics|text|evaluation|tasks|runners|datasets)/\w+\.py)`", text
    ):
        assert (ROOT / "fashionfae_lavis" / name).exists(), name


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    assert set(re.findall(r"[\w/-]+\.md", navigation)) == pages


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    assert any("run_scripts/pretrain.sh" in line for line in lines[:20])


def test_every_table_is_shown():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert set(RESULTS.tables) == set(re.findall(r"<!-- table: (\S+) -->", text))


@pytest.mark.parametrize(
    "name", [name for name, entry in RESULTS.entries.items() if "--cfg-path" in (entry.command or "")]
)
def test_commands_name_recipes(name):
    entry = RESULTS.entries[name]
    recipe = yaml.safe_load((ROOT / re.search(r"--cfg-path (\S+)", entry.command)[1]).read_text(encoding="utf-8"))
    if entry.output:
        assert recipe["run"]["output_dir"] == entry.output
        assert list(entry.seeds) == [recipe["run"]["seed"]]
        assert {path.partition(".")[0] for path in entry.figures} == set(recipe["run"]["test_splits"])


@pytest.mark.parametrize("name", ["systems", "drawn_steps", "systems_time", "systems_encoder", "ablation"])
def test_headline_figures_are_those_of_the_comparison(name):
    """Mean recall with attributes, in the main table of the section that `fashionfae compare` writes."""
    report = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    section = re.search(rf"<!-- begin {name}:.*?<!-- end {name} -->", report, re.DOTALL)[0]
    rows = [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in section.splitlines() if line[:1] == "|"]
    column = rows[0].index("retrieval, description+attributes")
    found = {row[0]: row[column].replace("*", "") for row in rows[2 : 2 + len(RESULTS.entries[name].figures)]}
    for system, figure in RESULTS.entries[name].figures.items():
        assert figure.value is None or found[system] == figure.text(".2f")


def test_quoted_figures_are_those_of_the_comparison():
    """Papers' figures, which `fashionfae compare` writes next to its own."""
    entries = [entry for entry in RESULTS.entries.values() if "sub.i2t_r1" in entry.figures]
    quoted = {
        entry.what.removesuffix(" on FashionGen"): (
            " ".join(entry.figures[f"sub.{recall}"].text(".2f") for recall in RECALLS),
            entry.source,
        )
        for entry in entries
    }
    assert quoted == RETRIEVAL
    figures = RESULTS.entries["subcategories"].figures
    assert {
        system: " ".join(figures[f"{system}.{key}"].text(".2f") for key in ("accuracy", "macro_f1"))
        for system in dict.fromkeys(path.rpartition(".")[0] for path in figures)
    } == RECOGNITION


@pytest.mark.slow
def test_the_tutorial_of_an_objective(tmp_path):
    """Follows docs/add_objective.md on a copy of the package, and runs the test that it writes."""
    text = (ROOT / "docs" / "add_objective.md").read_text(encoding="utf-8")
    steps = re.findall(r'```python title="[^"\n]+"(?: hl_lines="([\d ]+)")?\n(.*?)```', text, re.DOTALL)
    copy = tmp_path / "fashionfae_lavis"
    shutil.copytree(ROOT / "fashionfae_lavis", copy, ignore=shutil.ignore_patterns("__pycache__", "weights"))
    (copy / "weights").symlink_to(ROOT / "fashionfae_lavis" / "weights")

    def change(file, old, new):
        before = (copy / file).read_text(encoding="utf-8")
        assert len(re.findall(old, before)) == 1, f"{file}: the tutorial's place is not there once"
        (copy / file).write_text(re.sub(old, lambda _: new, before), encoding="utf-8")

    def insert(file, new, code):
        """Inserts the lines with the numbers `new` between the others, which are in the file already."""
        lines = enumerate(code.splitlines(keepends=True), start=1)
        change(file, re.escape("".join(line for number, line in lines if str(number) not in new.split())), code)

    (_, loss), (_, names), imports, call, method, (_, test) = steps
    (copy / "objectives" / "sigmoid.py").write_text(loss, encoding="utf-8")
    change("objectives/__init__.py", r"OBJECTIVES = \(.*\)\n", names)
    for block in (imports, call, method):
        insert("models/fashionfae.py", *block)
    (tmp_path / "test_sigmoid.py").write_text(test, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --doctest-modules --import-mode=importlib\n")
    command = [sys.executable, "-m", "pytest", "-q", "test_sigmoid.py", "fashionfae_lavis/objectives/sigmoid.py"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "tests")])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
