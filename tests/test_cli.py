"""The command `fashionfae`, in interpreters of its own where that matters."""

import shutil
import subprocess
import sys

import pytest
import torch
from authors import authors_checkpoint
from omegaconf import OmegaConf
from tiny import CONFIG

from fashionfae_lavis.cli import main


def fashionfae(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "fashionfae_lavis.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["import-checkpoint", "--help"], ["compare", "--help"]])
def test_help_imports_neither_torch_nor_lavis(arguments):
    code = (
        "import sys; from fashionfae_lavis.cli import main\n"
        f"try: main({arguments})\n"
        "except SystemExit as stop: print(stop.code, {'torch', 'lavis', 'transformers', 'numpy'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "0 set()" and f"fashionfae {' '.join(arguments[:-1])}".strip() in done.stdout


@pytest.mark.slow
def test_import_and_export_say_what_they_found(tmp_path):
    state = authors_checkpoint("pretraining")
    torch.save({"model": state}, tmp_path / "authors.pth")
    done = fashionfae("import-checkpoint", tmp_path / "authors.pth", tmp_path / "o.safetensors", "--config", CONFIG)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"the authors' pretraining model, {len(state)} keys" in done.stdout
    assert "image_encoder.module.pooler.dense.weight" in done.stdout
    assert f'load_model("fashionfae", "{tmp_path / "o.safetensors"}") opens it' in done.stdout
    done = fashionfae("export-checkpoint", tmp_path / "o.safetensors", tmp_path / "back.pth")
    assert (done.returncode, done.stderr) == (0, "")
    back = torch.load(tmp_path / "back.pth", weights_only=True)["model"]
    unread = "image_encoder.module.pooler."
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in state.items() if not name.startswith(unread))


def test_errors_are_one_sentence_and_exit_status_2(tmp_path, capsys):
    target = str(tmp_path / "ours.pth")
    whole = tmp_path / "whole.pth"
    torch.save({"model": authors_checkpoint("contrastive")}, whole)
    shutil.copy(whole, tmp_path / "mini.pth")
    deeper = tmp_path / "deeper.yaml"
    OmegaConf.save(OmegaConf.merge(OmegaConf.load(CONFIG), {"model": {"image_encoder": {"depth": 3}}}), deeper)
    (tmp_path / "truncated.pth").write_bytes(whole.read_bytes()[:5000])
    (tmp_path / "damaged.safetensors").write_bytes(b"\x10\x00\x00\x00")
    torch.save({"fc.weight": torch.zeros(2)}, tmp_path / "unrelated.pth")
    for name, message in {
        "none.pth": "There is no checkpoint file",
        "truncated.pth": "is damaged or not a checkpoint.",
        "damaged.safetensors": "is damaged or not a checkpoint.",
        "unrelated.pth": "is not a checkpoint of the authors' code (it holds fc.weight).",
        "whole.pth": "whole.pth does not fit the authors' contrastive model: ",  # of another size
        "mini.pth": "begins with convolutions (model.image_encoder.stem)",
    }.items():
        options = {"whole.pth": ["--config", str(deeper)], "mini.pth": ["--config", "mini"]}.get(name, [])
        with pytest.raises(SystemExit) as caught:
            main(["import-checkpoint", str(tmp_path / name), target, *options])
        error = capsys.readouterr().err
        assert caught.value.code == 2
        assert error.startswith("error: ") and error.count("\n") == 1 and message in error


@pytest.mark.slow
def test_an_error_of_the_program_itself_shows_no_traceback(tmp_path):
    done = fashionfae("export-checkpoint", tmp_path / "none.pth", tmp_path / "x.pth")
    assert done.returncode == 2 and done.stderr == f"error: There is no checkpoint file {tmp_path / 'none.pth'}.\n"
