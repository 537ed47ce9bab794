import numpy as np
import pytest

from fashionfae_lavis.cli import main
from fashionfae_lavis.golden import compare_golden


@pytest.fixture
def golden(tmp_path):
    np.savez(tmp_path / "golden_seed7.npz", entry=np.zeros(2))
    return str(tmp_path / "golden_seed7.npz")


@pytest.mark.parametrize(("options", "seed"), [([], 7), (["--seed", "3"], 3), (["--seed", "0"], 0)])
def test_seed_and_manifest_reach_the_report(golden, monkeypatch, options, seed):
    calls = []
    monkeypatch.setattr(compare_golden, "report", lambda entries, *rest: calls.append((list(entries), *rest)) or 0)
    main(["compare-golden", golden, *options, "--manifest", "m.json"])
    assert calls == [(["entry"], seed, "m.json")]


def test_an_entry_that_fails_gives_exit_status_1(golden, monkeypatch):
    monkeypatch.setattr(compare_golden, "report", lambda *_: 3)
    with pytest.raises(SystemExit) as caught:
        main(["compare-golden", golden])
    assert caught.value.code == 1


def test_a_file_that_cannot_be_read_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["compare-golden", str(tmp_path / "none.npz")])
    assert caught.value.code == 2 and "none.npz" in capsys.readouterr().err
