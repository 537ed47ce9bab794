import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from fashionfae_lavis.cli import main


@pytest.fixture
def encoders(monkeypatch):
    """Stands in for the training."""
    module = SimpleNamespace(
        make_mini_encoders=lambda path: {"text": 0.987, "images": 0.5} if path == Path("out.safetensors") else {},
        add_photographs=lambda path, folder: (
            0.809 if (path, folder) == (Path("out.safetensors"), Path("clothing")) else 0
        ),
        make_unlabelled_encoders=lambda path, folder: {str(path): 0.25, str(folder): 0.5},
    )
    monkeypatch.setitem(sys.modules, "fashionfae_lavis.mini.encoders", module)


@pytest.mark.usefixtures("encoders")
def test_accuracies_are_printed_in_percent(capsys):
    main(["make-mini-encoders", "out.safetensors"])
    assert capsys.readouterr().out.splitlines() == [
        "text           98.7 % correct on held-out products",
        "images         50.0 % correct on held-out products",
    ]


@pytest.mark.usefixtures("encoders")
def test_photographs_train_the_shipped_encoders_further(capsys):
    main(["make-mini-encoders", "out.safetensors", "--photographs", "clothing"])
    assert capsys.readouterr().out == "80.9 % correct on test photographs\n"


@pytest.mark.usefixtures("encoders")
@pytest.mark.parametrize(("options", "folder"), [([], "None"), (["--photographs", "clothing"], "clothing")])
def test_encoders_without_labels_may_learn_from_photographs_as_well(capsys, options, folder):
    main(["make-mini-encoders", "out.safetensors", "--unlabelled", *options])
    assert capsys.readouterr().out.splitlines() == [
        "out.safetensors 25.0 % correct on held-out products",
        f"{folder:<14} 50.0 % correct on held-out products",
    ]
