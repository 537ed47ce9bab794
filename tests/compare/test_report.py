import json

import pytest
from toy_runs import probe, retrieval, write_run

from fashionfae_lavis.cli import main
from fashionfae_lavis.compare.plan import Plan
from fashionfae_lavis.compare.published import published_block
from fashionfae_lavis.compare.report import HEAD, with_block, write_report
from fashionfae_lavis.errors import UserError


def plan(name, report):
    return Plan(name, "Title", report.parent, report, [0], [])


def test_sections_are_replaced_and_what_is_written_by_hand_stays(tmp_path):
    report, figure = tmp_path / "docs" / "results.md", tmp_path / "figure.png"
    figure.write_bytes(b"picture")
    assert write_report(plan("first", report), "## First\n\nold", figure) == [
        report,
        report.parent / "compare_first.png",
    ]
    content = report.read_text()
    assert content.startswith(HEAD) and "## First\n\n![Title](compare_first.png)\n\nold" in content
    report.write_text(content.replace("# Results\n", "# Results\n\nBy hand.\n"))
    write_report(plan("second", report), "## Second \\1\n\ntext", figure)
    write_report(plan("first", report), "## First\n\nnew", figure)
    content = report.read_text()
    heads = [line for line in content.splitlines() if line.startswith("#")]
    assert heads == ["# Results", "## First", r"## Second \1", "## Published figures: not measured here"]
    assert "By hand." in content and "new" in content and "old" not in content
    write_report(plan("first", report), "## First\n\nnew", figure)
    assert report.read_text() == content


def test_broken_marks_are_an_error(tmp_path):
    content = with_block(HEAD, "mine", "text", tmp_path)
    with pytest.raises(UserError, match="do not belong together: delete them both"):
        with_block(content.replace("<!-- end mine -->", ""), "mine", "text", tmp_path)


def test_published_figures_are_whole_and_marked():
    lines = [line.strip("| ").split(" | ") for line in published_block().splitlines() if line.startswith("|")]
    table = {line[0]: line[1:] for line in lines}
    assert "not measured here" in published_block()
    for system in ("Kaleido-BERT", "MVLT", "FashionViL", "FAME-ViL", "UniFashion"):
        recalls = [line for line in lines if line[0] == system][0][1:8]
        *recalls, mean = map(float, recalls)
        # As the papers round; MVLT's own mean is of more digits than its recalls.
        assert mean == pytest.approx(sum(recalls) / 6, abs=0.02), system
    assert table["FAME-ViL"] == ["94.67", "88.21"]


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
    assert "compare takes either --cfg-path PLAN, with --seeds if wanted, or the output" in capsys.readouterr().err
