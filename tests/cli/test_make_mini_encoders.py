import sys
from pathlib import Path
from types import SimpleNamespace

from fashionfae_lavis.cli import main


def test_accuracies_are_printed_in_percent(monkeypatch, capsys):
    encoders = SimpleNamespace(make_mini_encoders=lambda path: {"text": 0.987, "images": 0.5} if path else {})
    monkeypatch.setitem(sys.modules, "fashionfae_lavis.mini.encoders", encoders)
    main(["make-mini-encoders", str(Path("out.safetensors"))])
    assert capsys.readouterr().out.splitlines() == [
        "text           98.7 % correct on held-out products",
        "images         50.0 % correct on held-out products",
    ]
