import pytest
from indexed_shop import products

from fashionfae_lavis.cli import main


def test_a_life_of_an_index(tmp_path, capsys):
    folder = str(tmp_path / "index")
    first, later = tmp_path / "first.parquet", tmp_path / "later.parquet"
    products(5).write(first)
    products(3, first=4, seed=1).write(later)

    def printed(*arguments):
        main(["index", *arguments])
        return capsys.readouterr().out

    assert printed("create", folder, str(first)) == f"{folder}: 5 products indexed\n"
    assert printed("update", folder, str(later)) == "3 products updated\n"
    assert printed("delete", folder, "it's 00006", "x") == "1 products deleted; 1 ids were not in the index\n"
    assert printed("rebuild", folder) == f"{folder}: rebuilt\n"
    assert printed("check", folder) == f"{folder}: 6 products, no problem found\n"
    assert printed("info", folder) == (
        f"{folder}: 6 products, kept by LanceDB\n"
        "  model    toy (0123456789abcdef), vectors of 16 numbers\n"
        "  columns  title (text), colour (text), price (number)\n"
    )
    with pytest.raises(SystemExit) as stop:
        main(["index", "add", folder, str(later)])
    assert stop.value.code == 2
    assert "has products with the id it's 00004, it's 00005 already" in capsys.readouterr().err
    assert printed("create", folder, str(first), "--replace") == f"{folder}: 5 products indexed\n"


def test_problems_give_status_1(tmp_path, capsys):
    folder, vectors = str(tmp_path / "index"), tmp_path / "vectors.parquet"
    products(2, images=["missing.jpg", ""]).write(vectors)
    main(["index", "create", folder, str(vectors)])
    with pytest.raises(SystemExit) as stop:
        main(["index", "check", folder])
    assert stop.value.code == 1
    assert "1 products have no thumbnail (it's 00000)" in capsys.readouterr().out
