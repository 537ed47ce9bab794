"""`fashionfae import-checkpoint`, and `export-checkpoint` on what it wrote."""

import shutil

import pytest
import torch
from authors import authors_checkpoint
from omegaconf import OmegaConf
from tiny import CONFIG

from fashionfae_lavis.cli import main
from fashionfae_lavis.cli.import_checkpoint import print_reasons


def test_an_imported_checkpoint_is_exported_unchanged(tmp_path, capsys):
    state = authors_checkpoint("pretraining")
    torch.save({"model": state}, tmp_path / "authors.pth")
    imported = str(tmp_path / "imported.safetensors")
    main(["import-checkpoint", str(tmp_path / "authors.pth"), imported, "--config", str(CONFIG)])
    printed = capsys.readouterr().out
    assert f"the authors' pretraining model, {len(state)} keys" in printed
    assert "image_encoder.module.pooler.dense.weight" in printed
    assert f'load_model("fashionfae", "{imported}") opens it' in printed

    main(["export-checkpoint", imported, str(tmp_path / "exported.pth")])
    assert "written in the layout of the authors' pretraining model" in capsys.readouterr().out
    exported = torch.load(tmp_path / "exported.pth", weights_only=True)["model"]
    unread = "image_encoder.module.pooler."
    assert exported.keys() == state.keys()
    assert all(torch.equal(exported[name], tensor) for name, tensor in state.items() if not name.startswith(unread))


def test_names_are_grouped_by_reason_and_long_lists_cut(capsys):
    print_reasons("left out", {**{f"head.{i}": "no head" for i in range(10)}, "bias": "unused"})
    assert capsys.readouterr().out.splitlines() == [
        f"  left out (no head): {', '.join(f'head.{i}' for i in range(8))} and 2 more",
        "  left out (unused): bias",
    ]


def test_errors_are_one_sentence_and_exit_status_2(tmp_path, capsys):
    target = str(tmp_path / "converted.pth")
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
        "truncated.pth": "is damaged or not a checkpoint: copy the file again",
        "damaged.safetensors": "is damaged or not a checkpoint: copy the file again",
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
