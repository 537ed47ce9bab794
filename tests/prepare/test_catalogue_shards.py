import json

import numpy as np
import pytest
import webdataset
from PIL import Image
from prepare.dirty_shop import photograph

from fashionfae_lavis.cli import main
from fashionfae_lavis.datasets.datasets.catalogue_file import read_catalogue
from fashionfae_lavis.datasets.datasets.catalogue_shards import CatalogueShards
from fashionfae_lavis.datasets.datasets.shards import ShardedImages
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.photographs import ENOUGH
from fashionfae_lavis.prepare.catalogue import prepare_catalogue
from fashionfae_lavis.prepare.catalogue_shards import write_catalogue_shards


def write_shop(folder):
    """Writes two products for validation and ten for training; every third one has two views."""
    (folder / "photos").mkdir(parents=True)
    rows = ["id,title,image,split,colour"]
    for i in range(12):
        names = [f"{i}.png", f"{i}_b.png"] if i % 3 == 0 else [f"{i}.png"]
        for view, name in enumerate(names):
            photograph(100 * view + i, (1200, 1500) if i == 1 else (60, 80)).save(folder / "photos" / name)
        rows.append(f"{i},Shirt {i},{'|'.join(names)},{'val' if i > 9 else 'train'},{('red', '', 'blue')[i % 3]}")
    (folder / "shop.csv").write_text("\n".join(rows))
    return folder / "shop.csv", folder / "photos"


@pytest.fixture
def root(tmp_path):
    table, photos = write_shop(tmp_path)
    prepare_catalogue(table, photos, tmp_path / "out", attributes={"colour": "colour"})
    return tmp_path / "out"


@pytest.mark.parametrize("needs", [None, "colour"])
def test_shards_give_the_products_of_the_catalogue(root, tmp_path, needs):
    folder = write_catalogue_shards(root, tmp_path / "shards", products=4)
    names = ["000000.tar", "000001.tar", "000002.tar", "index.json", "plan.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    file = read_catalogue(root, needs)["train"]
    shards = CatalogueShards(file, folder)
    assert len(shards.product_ids) == (7 if needs else 10) and len(shards.row_product) == (11 if needs else 14)
    assert shards.texts is file.texts
    for row in range(len(shards.row_product)):
        ours, theirs = shards.image(row), file.image(row)
        theirs.thumbnail((10**6, 640) if theirs.height == 1500 else theirs.size)
        assert ours.mode == "RGB" and ours.size == theirs.size
        assert abs(np.asarray(ours, dtype=int) - np.asarray(theirs, dtype=int)).mean() < 2


def test_webdataset_reads_the_shards(root, tmp_path):
    folder = write_catalogue_shards(root, tmp_path / "shards", products=4)
    samples = list(webdataset.WebDataset(str(folder / "{000000..000002}.tar"), shardshuffle=False).decode("pil"))
    assert [sample["json"]["title"] for sample in samples] == [f"Shirt {i}" for i in range(10)]
    assert samples[2]["json"] == {"product_id": 4, "title": "Shirt 2", "description": "", "colour": "blue"}
    assert [sum(key.endswith(".jpg") for key in sample) for sample in samples] == [2, 1, 1] * 3 + [2]
    assert samples[1]["0.jpg"].size == (ENOUGH, 640)


def test_an_interrupted_run_goes_on_to_the_same_bytes(root, tmp_path):
    whole = {path.name: path.read_bytes() for path in write_catalogue_shards(root, tmp_path / "a", 4).iterdir()}
    folder = write_catalogue_shards(root, tmp_path / "b", 4)
    (folder / "000001.tar").unlink()
    (folder / "index.json").unlink()
    kept = (folder / "000000.tar").stat().st_mtime_ns
    write_catalogue_shards(root, folder, 4)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
    assert (folder / "000000.tar").stat().st_mtime_ns == kept


def test_shards_of_another_catalogue_are_refused(root, tmp_path):
    folder = write_catalogue_shards(root, tmp_path / "shards")
    prepare_catalogue(tmp_path / "shop.csv", tmp_path / "photos", root)
    with pytest.raises(UserError, match="contains shards of another catalogue than .*catalogue.jsonl: run `fashionfae"):
        CatalogueShards(read_catalogue(root)["train"], folder)
    with pytest.raises(UserError, match="contains shards of another file: delete it, or use another --shards"):
        write_catalogue_shards(root, folder)


def test_damaged_shards_are_named(root, tmp_path):
    folder = write_catalogue_shards(root, tmp_path / "shards", 4)
    file = read_catalogue(root)["train"]
    index = json.loads((folder / "index.json").read_text())
    for change, message in (
        ({"images": index["images"][1:]}, "index.json is damaged or unfinished .*another number of images"),
        ({"products": [1] * 14}, "index.json is damaged or unfinished .*another number of images"),
        ({"images": "all"}, "index.json is damaged .images: Input should be a valid array"),
        ({"images": [[7, 0, 9]] * 14}, "000007.tar is damaged or unfinished .No such file"),
    ):
        (folder / "index.json").write_text(json.dumps({**index, **change}))
        with pytest.raises(UserError, match=message):
            CatalogueShards(file, folder)
    (folder / "index.json").unlink()
    with pytest.raises(UserError, match="index.json cannot be read .*: run `fashionfae prepare catalogue --to shards`"):
        CatalogueShards(file, folder)


def test_an_image_that_is_gone_is_one_sentence(root, tmp_path):
    (tmp_path / "photos" / "5.png").unlink()
    with pytest.raises(UserError, match="5.png is missing: put it back"):
        write_catalogue_shards(root, tmp_path / "shards")


def test_shards_from_the_command_line(tmp_path, capsys):
    table, photos = write_shop(tmp_path)
    command = ["prepare", "catalogue", "--table", str(table), "--images", str(photos), "--out", str(tmp_path / "out")]
    main([*command, "--to", "shards"])
    said = capsys.readouterr().out.splitlines()
    assert said[-2:] == [
        f"wrote {tmp_path}/out/shards",
        f"to train from the shards, add `storage: {tmp_path}/out/shards` to the dataset",
    ]
    main([*command, "--to", "shards"])  # the same catalogue again keeps its shards
    with pytest.raises(SystemExit):
        main([*command, "--shards", "elsewhere"])
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: --shards names the folder for --to shards")


def test_a_bomb_in_a_shard_is_refused(tmp_path):
    Image.new("1", (20_000, 9_000)).save(tmp_path / "bomb.png")
    (tmp_path / "bomb.png").rename(tmp_path / "000000.tar")
    size = (tmp_path / "000000.tar").stat().st_size
    with pytest.raises(UserError, match="the image of row 0 is too large.*: write them again"):
        ShardedImages(tmp_path, np.array([[0, 0, size]]), "write them again").image(0)
