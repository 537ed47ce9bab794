import pytest

from fashionfae_lavis.compare.plan import Plan
from fashionfae_lavis.compare.published import published_section
from fashionfae_lavis.compare.report import HEAD, replace_section, write_report
from fashionfae_lavis.errors import UserError


def plan(name, report):
    return Plan(name, "Title", report.parent, report.parent / "finished", report, [0], [], [])


def test_sections_are_replaced_and_other_text_stays(tmp_path):
    report, chart = tmp_path / "docs" / "results.md", tmp_path / "chart.png"
    chart.write_bytes(b"picture")
    assert write_report(report, plan("first", report), "## First\n\nold", chart) == [
        report,
        report.parent / "compare_first.png",
    ]
    content = report.read_text()
    assert content.startswith(HEAD) and "## First\n\n![Title](compare_first.png)\n\nold" in content
    report.write_text(content.replace("# Results\n", "# Results\n\nBy hand.\n"))
    write_report(report, plan("second", report), "## Second \\1\n\ntext", chart)
    write_report(report, plan("first", report), "## First\n\nnew", chart)
    content = report.read_text()
    heads = [line for line in content.splitlines() if line.startswith("#")]
    assert heads == ["# Results", "## First", r"## Second \1", "## Published figures (not measured here)"]
    assert "By hand." in content and "new" in content and "old" not in content
    write_report(report, plan("first", report), "## First\n\nnew", chart)
    assert report.read_text() == content


def test_a_missing_mark_is_an_error(tmp_path):
    content = replace_section(HEAD, "mine", "text", tmp_path)
    with pytest.raises(UserError, match="do not match: delete both"):
        replace_section(content.replace("<!-- end mine -->", ""), "mine", "text", tmp_path)


def test_published_figures_are_complete_and_marked():
    lines = [line.strip("| ").split(" | ") for line in published_section().splitlines() if line.startswith("|")]
    table = {line[0]: line[1:] for line in lines}
    assert "not measured here" in published_section()
    for system in ("Kaleido-BERT", "MVLT", "FashionViL", "FAME-ViL", "UniFashion"):
        recalls = [line for line in lines if line[0] == system][0][1:8]
        *recalls, mean = map(float, recalls)
        # The papers round; the mean of MVLT was taken before its recalls were rounded.
        assert mean == pytest.approx(sum(recalls) / 6, abs=0.02), system
    assert table["FAME-ViL"] == ["94.67", "88.21"]
