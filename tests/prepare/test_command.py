"""`fashionfae prepare` on the command line."""

import subprocess
import sys
from pathlib import Path

import pytest
from prepare.dirty_shop import write_dirty_shop

from fashionfae_lavis.cli import main
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.command import _print_summary, parse_pairs
from fashionfae_lavis.prepare.summary import Duplicates, Summary
from fashionfae_lavis.prepare.vocabulary import TextLengths

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
    assert f"projects/fashionfae/catalogue/pretrain.yaml --options datasets.catalogue.root={tmp_path}/out" in said
    assert imports_of([*arguments, "--max-bad", "0.6"], HEAVY) == "set()"


def test_the_summary_of_a_catalogue(capsys):
    _print_summary(
        Summary(
            path=Path("my shop/catalogue.jsonl"),
            rows=10,
            unusable=0,
            left_out=0,
            images=10,
            products={"train": 8, "val": 2},
            problems={},
            values={"size": 3},
            decode_fallbacks=0,
            respelled=0,
            merged=[("size", f"{i}%", f"{i}") for i in range(7)],
            missing={"None": 1, "NA": 3},
            duplicates=Duplicates(titles=6, texts=4, identical=2, near=3, leaks=1),
            lengths=TextLengths(vocabulary=700, per_word=1.25, mean=55.6, longest=140, cut=0.025, max_length=120),
        ),
        "catalogue/pretrain.yaml --options datasets.catalogue.root=",
    )
    said = capsys.readouterr().out.splitlines()
    assert said[-1].endswith("projects/fashionfae/catalogue/pretrain.yaml --options datasets.catalogue.root='my shop'")
    assert said[2:-1] == [
        "  values that differ only in a symbol were merged: size '0%' and '0', size '1%' and '1', size '2%' and '2', "
        "size '3%' and '3', size '4%' and '4' and 2 more",
        "  4 cells were read as missing: 3 'NA', 1 'None'",
        "  6 products share their title with another one, 4 their whole text",
        "  2 products share an image file with another one",
        "  3 more products show nearly the same photograph as another one",
        "  1 products outside of training share a photograph with one in training",
        "  my shop/duplicates.csv lists the products that share a photograph",
        "  my shop/vocabulary: 700 word pieces, 1.25 per word of titles and descriptions; a text has 56 on average and "
        "at most 140",
        "  2.5 % of the texts are longer than the 120 pieces that the models read and lose the end of their "
        "description: raise model.max_length",
    ]


def test_pairs():
    assert parse_pairs("--map", ["a=b, c = d e", "f=g"]) == {"a": "b", "c": "d e", "f": "g"}
    assert parse_pairs("--attributes", ["colour,fit=Cut"], alone=True) == {"colour": "colour", "fit": "Cut"}
    for given, message in (["title"], "takes NAME=COLUMN, not 'title'"), (["a=b,a=c"], "names a twice"):
        with pytest.raises(UserError, match=message):
            parse_pairs("--map", given)
