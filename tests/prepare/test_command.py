"""`fashionfae prepare` on the command line."""

import subprocess
import sys

import pytest
from prepare.dirty_shop import write_dirty_shop

from fashionfae_lavis.cli import main
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.command import _pairs

HEAVY = {"torch", "lavis", "transformers", "pandas", "pyarrow"}


def imports_of(arguments, modules):
    code = (
        "import sys; from fashionfae_lavis.cli import main\n"
        f"try: main({arguments})\n"
        f"except SystemExit: pass\nprint({modules} & {{*sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("kind", ["catalogue", "fashion-mnist", "fashiongen", "fashioniq"])
def test_help_imports_next_to_nothing(kind):
    assert imports_of(["prepare", kind, "--help"], HEAVY | {"numpy", "PIL", "h5py"}) == "set()"


def test_a_catalogue_from_the_command_line(tmp_path, capsys):
    shop = write_dirty_shop(tmp_path)
    arguments = ["prepare", "catalogue", "--table", f"{shop}/shop.csv", "--images", f"{shop}/photos"]
    arguments += ["--out", f"{tmp_path}/out", "--map", "id=SKU,title=Name", "--map", "description=Text,image=Photos"]
    arguments += ["--attributes", "main_colour=Colour,Fabric"]
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    error = capsys.readouterr().err.splitlines()[-1]
    assert caught.value.code == 2 and error.startswith("error: 12 of 22 rows cannot be used (")
    main([*arguments, "--max-bad", "0.6"])
    said = capsys.readouterr().out
    assert "10 products (9 train, 1 val), 12 images" in said and "main colour: 2 values" in said
    assert "not used: 12 of 22 rows (" in said and "1 duplicate id" in said
    assert f"datasets: {{catalogue: {{root: {tmp_path}/out}}}}" in said
    assert imports_of([*arguments, "--max-bad", "0.6"], HEAVY) == "set()"


def test_pairs():
    assert _pairs("--map", ["a=b, c = d e", "f=g"]) == {"a": "b", "c": "d e", "f": "g"}
    assert _pairs("--attributes", ["colour,fit=Cut"], alone=True) == {"colour": "colour", "fit": "Cut"}
    for given, message in (["title"], "takes NAME=COLUMN, not 'title'"), (["a=b,a=c"], "names a twice"):
        with pytest.raises(UserError, match=message):
            _pairs("--map", given)
