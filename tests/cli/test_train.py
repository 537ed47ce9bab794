"""`fashionfae train` and `fashionfae evaluate` pass their arguments on to LAVIS's command line."""

import sys
from types import SimpleNamespace

import pytest

import fashionfae_lavis
from fashionfae_lavis.cli import main


@pytest.fixture
def calls(monkeypatch):
    """What `fashionfae_lavis.train.main` was called with."""
    found = []
    program = SimpleNamespace(main=lambda argv, evaluate: found.append((argv, evaluate)))
    monkeypatch.setitem(sys.modules, "fashionfae_lavis.train", program)
    monkeypatch.setattr(fashionfae_lavis, "train", program, raising=False)
    return found


@pytest.mark.parametrize("evaluate", [False, True])
def test_arguments_arrive_unchanged(calls, evaluate):
    command = "evaluate" if evaluate else "train"
    arguments = ["--cfg-path", "a.yaml", "--options", "run.max_iters=3", "model.arch=fashionfae"]
    main([command, *arguments])
    main([command, "--cfg-path", "a.yaml"])
    assert calls == [(arguments, evaluate), (arguments[:2], evaluate)]


def test_the_program_takes_the_same_arguments(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(["train", "--cfg-path", "none.yaml", "--options", "run.max_iters=3"])
    assert caught.value.code == 2 and "There is no configuration file none.yaml" in capsys.readouterr().err
