import json

import pytest
from toy_runs import probe, retrieval, write_run

from fashionfae_lavis.cli import main


def test_runs_become_a_table_from_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained = write_run(tmp_path / "trained", "fashionfae_pretrain", retrieval())
    start = tmp_path / "trained" / "checkpoint_last.pth"
    probed = write_run(tmp_path / "probed", "attribute_probe", probe(), start, evaluate=True)
    main(["compare", trained, probed, "--output", "table"])
    printed = capsys.readouterr().out
    assert "| trained | 3.50 | 3.50 | 40.00 | 40.00 | 90.00 | 40.00 |" in printed
    assert "- attribute probe: data fashiongen_mini;" in printed
    assert {path.name for path in (tmp_path / "table").iterdir()} == {"table.md", "table.csv", "figure.png"}
    assert (tmp_path / "table" / "table.csv").read_text().splitlines()[1].startswith("trained,,")

    results = json.loads((tmp_path / "trained" / "results.json").read_text())
    other = write_run(tmp_path / "other", "fashionfae_pretrain", {**results["val"], "sub_test_lists": "x"})
    with pytest.raises(SystemExit) as stop:
        main(["compare", trained, other])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1
    assert "lists of the sub-test differs (abc, and x)" in error


@pytest.mark.parametrize("arguments", [[], ["--cfg-path", "plan.yaml", "run"], ["run", "--seeds", "0"]])
def test_either_a_plan_or_runs(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["compare", *arguments])
    assert stop.value.code == 2
    assert (
        "compare takes either --cfg-path PLAN, optionally with --seeds and --catalogue, or folders of finished runs"
        in capsys.readouterr().err
    )
