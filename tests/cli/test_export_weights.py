import sys
from types import SimpleNamespace

from fashionfae_lavis.cli import main


def test_checkpoint_and_target_are_handed_on(monkeypatch, capsys):
    calls = []
    export = SimpleNamespace(export_weights=lambda *arguments: calls.append(arguments))
    monkeypatch.setitem(sys.modules, "fashionfae_lavis.models.export", export)
    main(["export-weights", "checkpoint_last.pth", "mini.safetensors"])
    assert calls == [("checkpoint_last.pth", "mini.safetensors")]
    assert capsys.readouterr().out == "mini.safetensors: written\n"
