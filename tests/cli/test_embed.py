import os
import signal
import time

import numpy as np
import programs
import pytest
from drawn_photographs import save_photographs
from trained import checkpoint_of

from fashionfae_lavis.cli import main
from fashionfae_lavis.search.vectors import Vectors


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder with a checkpoint `last.pth`, photographs and a table of five products. Two of them are unusable."""
    monkeypatch.chdir(tmp_path)
    checkpoint_of("fashionfae", tmp_path / "last.pth")
    save_photographs(tmp_path / "photos", 3)
    (tmp_path / "shop.csv").write_text(
        "sku,name,file,base_colour,price\n"
        'a,Red dress,0000.png,red,"$1,299.00"\nb,Coat,0001.png,,12.5\nc,Hat,0002.png,blue,\nd,Bag,absent.png,red,1\n'
        "e,Sock,,red,1\n"
    )
    return tmp_path


ARGUMENTS = ["embed", "shop.csv", "--images", "photos", "--map", "id=sku,title=name,image=file", "--model", "last.pth"]


def test_a_table(shop, capsys):
    main([*ARGUMENTS, "--device", "cpu", "--attributes", "colour=base_colour,price"])
    vectors = Vectors.read(shop / "vectors.parquet")
    assert vectors.ids == ["a", "b", "c"] and vectors.model == str(shop / "last.pth")
    assert vectors.table["price"].to_pylist() == [1299.0, 12.5, None]
    assert vectors.table["colour"].to_pylist() == ["red", None, "blue"]
    printed = capsys.readouterr().out
    assert f"vectors.parquet: 3 products, vectors of length 32, digest {vectors.digest}" in printed
    assert "columns: title, colour, price" in printed and "4 photographs in " in printed and " per second" in printed
    assert "skipped e: no image" in printed and "skipped d: absent.png is missing: no file absent.png in" in printed
    assert "2 skipped in all; vectors.skipped.csv lists them" in printed


def test_a_folder_into_npz(shop, capsys):
    main(["embed", "photos", "--model", "last.pth", "--device", "cpu", "--out", "new/v.npz"])
    with np.load(shop / "new" / "v.npz") as found:
        assert found["id"].tolist() == ["0000.png", "0001.png", "0002.png"] and found["vector"].shape == (3, 32)
    assert "skipped" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "absent.pth"], "There is no checkpoint file absent.pth."),
        (["--device", "tpu"], "--device is 'tpu', but must be auto, cpu or cuda."),
        (["--out", "v.csv"], "v.csv must be a .parquet or .npz file: give it one of these names."),
        (["--map", "file"], "--map takes NAME=COLUMN, not 'file'."),
        (["--attributes", "colour=hue"], "--attributes colour=hue: shop.csv lacks this column; use one of"),
        (["--attributes", "vector=sku"], "The attribute vector has the name of a column that every file of vectors"),
        (["--attributes", "image=sku"], "The attribute image has the name of a column that every file of vectors has"),
        (["--out", "photos"], "photos is a folder: name a file, such as photos/vectors.parquet."),
        (["--out", ""], ". is a folder: name a file, such as vectors.parquet."),
    ],
)
def test_errors_are_one_sentence(arguments, message, shop, capsys):
    with pytest.raises(SystemExit) as caught:
        main([*ARGUMENTS, *arguments])
    error = capsys.readouterr().err
    assert caught.value.code == 2 and error.count("\n") == 1 and error.startswith(f"error: {message}")


@pytest.mark.parametrize(("table", "out"), [("shop.parquet", "./shop.parquet"), ("shop.skipped.csv", "shop.npz")])
def test_the_input_is_never_replaced(table, out, shop, capsys):
    (shop / table).write_bytes(b"precious")
    with pytest.raises(SystemExit):
        main(["embed", table, "--model", "last.pth", "--out", out])
    assert f"--out {out} would replace {table}, which is read: give another file." in capsys.readouterr().err
    assert (shop / table).read_bytes() == b"precious"


def command(out: str) -> list[str]:
    return ["-m", "fashionfae_lavis.cli", "embed", "many", "--model", "last.pth", "--device", "cpu", "--out", out]


@pytest.mark.slow
def test_two_processes_share_the_work(shop):
    save_photographs(shop / "many", 1100)  # three parts
    (shop / "many" / "0007.png").write_bytes(b"no image")
    main(command("one.parquet")[2:])
    first, second = programs.start_two_processes(command("two.parquet"), shop)
    assert [first.wait(), second.wait()] == [0, 0], first.stderr + second.stderr
    one, two = Vectors.read(shop / "one.parquet"), Vectors.read(shop / "two.parquet")
    assert len(one.ids) == 1099 and two.ids == one.ids and two.digest == one.digest
    np.testing.assert_allclose(two.matrix(), one.matrix(), atol=1e-6)
    assert "two.parquet: 1099 products" in first.stdout and second.stdout == ""
    assert not (shop / "two.parquet.parts").exists()


@pytest.mark.slow
def test_a_killed_command_resumes(shop):
    save_photographs(shop / "many", 2600)  # six parts
    main(command("whole.parquet")[2:])
    program = programs.start(command("v.parquet"), shop)
    deadline = time.monotonic() + 120
    while not list(shop.glob("v.parquet.parts/*.npz")):
        assert program.poll() is None and time.monotonic() < deadline, program.stderr
        time.sleep(0.005)
    os.kill(program.pid, signal.SIGKILL)
    program.wait()
    finished = len(list(shop.glob("v.parquet.parts/*.npz")))
    assert 1 <= finished < 6 and not (shop / "v.parquet").exists()

    again = programs.run_python(command("v.parquet"), shop)
    assert again.returncode == 0, again.stderr
    assert f"{512 * finished} had been embedded before" in again.stdout
    whole, resumed = Vectors.read(shop / "whole.parquet"), Vectors.read(shop / "v.parquet")
    assert resumed.ids == whole.ids and np.array_equal(resumed.matrix(), whole.matrix())
