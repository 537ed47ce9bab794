import pytest

from fashionfae_lavis.cli import main
from fashionfae_lavis.models import export


def test_the_checkpoint_is_opened_and_the_files_are_named(monkeypatch, tmp_path, capsys):
    opened = []

    def write(model, folder):
        opened.append((type(model).__name__, model.training, folder))
        return [tmp_path / "image.onnx", tmp_path / "text.onnx"]

    monkeypatch.setattr(export, "export_onnx", write)
    main(["export-onnx", "mini", str(tmp_path)])
    assert opened == [("FashionFAE", False, str(tmp_path))]
    assert capsys.readouterr().out == f"{tmp_path}/image.onnx: written\n{tmp_path}/text.onnx: written\n"


def test_a_missing_checkpoint_is_one_sentence(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["export-onnx", str(tmp_path / "none.pth"), str(tmp_path)])
    assert capsys.readouterr().err == f"error: There is no checkpoint file {tmp_path}/none.pth.\n"
