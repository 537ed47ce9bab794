"""`main` of the command `fashionfae`, in a separate interpreter where imports matter."""

import subprocess
import sys

import pytest

from fashionfae_lavis.cli import SUBCOMMANDS, main

NAMES = [
    "train",
    "evaluate",
    "prepare",
    "embed",
    "index",
    "search",
    "label",
    "serve",
    "compare",
    "import-checkpoint",
    "export-checkpoint",
    "export-weights",
    "export-onnx",
    "publish",
    "make-mini-encoders",
    "compare-golden",
    "reproduce",
]


def error_of(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_help_of_every_subcommand_imports_neither_torch_nor_lavis():
    code = (
        "import sys; from fashionfae_lavis.cli import main\n"
        f"for arguments in ([], *([name] for name in {NAMES})):\n"
        "    try: main([*arguments, '--help'])\n"
        "    except SystemExit as stop: assert stop.code == 0\n"
        "print({'torch', 'lavis', 'transformers', 'numpy', 'omegaconf', 'filelock'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "set()", done.stderr
    assert [f"usage: fashionfae {name} " in done.stdout for name in NAMES] == [True] * len(SUBCOMMANDS)


def test_an_unknown_subcommand_suggests_the_nearest(capsys):
    assert error_of(["trian"], capsys) == "error: There is no subcommand 'trian'; did you mean train?\n"
    assert "did you mean export-weights?" in error_of(["export-weight"], capsys)
    assert f"known are {', '.join(NAMES)}." in error_of(["xyz"], capsys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND; see `fashionfae --help`"),
        (["train"], "the following arguments are required: --cfg-path; see `fashionfae train --help`"),
        (["export-checkpoint", "in"], "required: OUT; see `fashionfae export-checkpoint --help`"),
        (["prepare", "fashiongem"], "invalid choice: 'fashiongem' (choose from 'catalogue', "),
    ],
)
def test_wrong_arguments_are_one_line(arguments, message, capsys):
    error = error_of(arguments, capsys)
    assert message in error and error.startswith("error: ") and error.count("\n") == 1


@pytest.mark.slow
def test_a_user_error_shows_no_traceback(tmp_path):
    missing = str(tmp_path / "none.pth")
    command = [sys.executable, "-m", "fashionfae_lavis.cli", "export-checkpoint", missing, str(tmp_path / "x.pth")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stderr == f"error: There is no checkpoint file {missing}.\n"


def test_ctrl_c_is_one_sentence(capsys, monkeypatch):
    def interrupted(**options):
        raise KeyboardInterrupt

    monkeypatch.setattr("fashionfae_lavis.cli.export_weights.run", interrupted)
    with pytest.raises(SystemExit) as caught:
        main(["export-weights", "a.pth", "b.safetensors"])
    assert caught.value.code == 130
    assert capsys.readouterr().err == "\nStopped by SIGINT: the same command starts again.\n"
