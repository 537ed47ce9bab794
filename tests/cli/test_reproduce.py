import sys
from types import SimpleNamespace

import pytest

from fashionfae_lavis.cli import main


@pytest.fixture(autouse=True)
def figures(monkeypatch):
    module = SimpleNamespace(list_figures=lambda: "main_job\nprobe", reproduce=lambda name: name == "probe")
    monkeypatch.setitem(sys.modules, "fashionfae_lavis.figures", SimpleNamespace(reproduce=module))
    monkeypatch.setitem(sys.modules, "fashionfae_lavis.figures.reproduce", module)


def test_without_a_name_the_figures_are_listed(capsys):
    main(["reproduce"])
    assert capsys.readouterr().out == "main_job\nprobe\n"


def test_the_exit_status_says_whether_the_figure_was_reproduced():
    main(["reproduce", "probe"])
    with pytest.raises(SystemExit) as caught:
        main(["reproduce", "main_job"])
    assert caught.value.code == 1
