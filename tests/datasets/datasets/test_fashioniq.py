"""Reading of FashionIQ's files, written here by hand."""

import json
import logging
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from fashionfae_lavis.datasets.datasets.fashioniq import FashionIQDataset, FashionIQEvalDataset, join_captions
from fashionfae_lavis.datasets.datasets.fashioniq_files import CLASSES
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.processors import FashionCaptionProcessor

REQUESTS = [(0, 1), (0, 2), (1, 0)]  # reference and target, numbers of images; image 3 is nobody's


def image_name(garment, number):
    return f"{garment[0].upper()}{number}"


def colour(garment, number):
    return (40 * CLASSES.index(garment), 50 * number, 7)


def write(folder):
    """Three classes of four images and three requests each; the colour of an image identifies it."""
    for name in ("captions", "image_splits", "images"):
        (folder / name).mkdir(parents=True)
    for garment in CLASSES:
        names = [image_name(garment, number) for number in range(4)]
        for number, name in enumerate(names):
            ending = ".png" if number == 1 else ".jpg"
            Image.new("RGB", (8, 8), colour(garment, number)).save(folder / "images" / f"{name}{ending}", quality=95)
        entries = [
            {"target": names[t], "candidate": names[r], "captions": [f"Is {t}.", f"has {garment} sleeves"]}
            for r, t in REQUESTS
        ]
        for split in ("train", "val"):
            (folder / "captions" / f"cap.{garment}.{split}.json").write_text(json.dumps(entries))
            (folder / "image_splits" / f"split.{garment}.{split}.json").write_text(json.dumps(names))
    return folder


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "fashioniq")


def pixels(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def train(folder, **options):
    return FashionIQDataset(folder, "train", pixels, FashionCaptionProcessor(), **options)


def val(folder, **options):
    return FashionIQEvalDataset(folder, "val", pixels, FashionCaptionProcessor(), **options)


def assert_shows(image, garment, number):
    expected = torch.tensor(colour(garment, number))[:, None, None]
    assert (image.int() - expected).abs().max() <= 3


def test_training_items_are_the_requests(folder):
    dataset = train(folder)
    assert len(dataset) == 9 and dataset.left_out == 0
    for index in range(9):
        item = dataset[index]
        garment, (reference, target) = CLASSES[index // 3], REQUESTS[index % 3]
        assert_shows(item["image"], garment, reference)
        assert_shows(item["target_image"], garment, target)
        assert sorted(item["text_input"].split(" and ")) == sorted([f"is {target}", f"has {garment} sleeves"])


def test_training_joins_the_captions_in_either_order(folder):
    dataset = train(folder)
    texts = {dataset[0]["text_input"] for _ in range(40)}
    assert texts == {"is 1 and has dress sleeves", "has dress sleeves and is 1"}
    torch.manual_seed(5)
    first = [dataset[0]["text_input"] for _ in range(10)]
    torch.manual_seed(5)
    assert first == [dataset[0]["text_input"] for _ in range(10)]


def test_a_batch(folder):
    dataset = train(folder)
    batch = dataset.collater([dataset[0], dataset[4]])
    assert batch["image"].shape == batch["target_image"].shape == (2, 3, 8, 8)
    assert isinstance(batch["text_input"], list) and batch["instance_id"] == ["0", "4"]


def test_evaluation_items_are_the_images_and_requests_point_at_them(folder):
    dataset = val(folder)
    assert len(dataset) == 12 and dataset.row_class.tolist() == sorted(CLASSES * 4)
    for index, (garment, name) in enumerate(dataset.keys):
        assert name == image_name(garment, index % 4)
        assert_shows(dataset[index]["image"], garment, index % 4)
    assert dataset.reference.tolist() == [4 * c + r for c in range(3) for r, _ in REQUESTS]
    assert dataset.target.tolist() == [4 * c + t for c in range(3) for _, t in REQUESTS]
    assert dataset.texts[4] == "is 2 and has shirt sleeves"


def test_the_same_id_in_two_classes_is_two_images_of_the_gallery(folder):
    for kind in ("captions/cap", "image_splits/split"):
        source = folder / f"{kind}.dress.val.json"
        shutil.copy(source, folder / f"{kind}.shirt.val.json")
    dataset = val(folder)
    assert len(dataset) == 12 and (dataset.row_class == "shirt").sum() == 4
    assert dataset.reference[:3].tolist() == [0, 0, 1] and dataset.reference[3:6].tolist() == [4, 4, 5]


def test_an_id_that_is_listed_twice_is_one_image(folder):
    path = folder / "image_splits" / "split.dress.val.json"
    path.write_text(json.dumps(json.loads(path.read_text()) * 2))
    assert len(val(folder)) == 12


def test_images_in_a_folder_for_each_class(folder):
    for garment in CLASSES:
        (folder / "images" / garment).mkdir()
        for path in list((folder / "images").glob(f"{garment[0].upper()}*.*")):
            path.rename(folder / "images" / garment / path.name)
    assert_shows(val(folder)[5]["image"], "shirt", 1)
    assert len(train(folder)) == 9


def test_images_are_read_as_the_processor_reads_them(folder):
    cut_out = Image.new("RGBA", (40, 50), (0, 0, 0, 0))
    (folder / "images" / "S2.jpg").unlink()
    cut_out.save(folder / "images" / "S2.png")
    split = val(folder)
    assert (np.asarray(split.photograph(split.keys[6])) == 255).all()
    (folder / "secret.png").write_bytes((folder / "images" / "S2.png").read_bytes())
    (folder / "images" / "S2.png").unlink()
    (folder / "images" / "S2.png").symlink_to("../secret.png")
    with pytest.raises(UserError, match="S2.png is outside the image folder"):
        val(folder)[6]


def test_captions_are_joined_without_their_full_stops():
    assert join_captions(["is red. ", "has long sleeves"]) == "is red and has long sleeves"
    assert FashionCaptionProcessor()("Is red and has a V-neck!") == "is red and has a v neck"


def test_missing_images_stop_with_a_count_and_a_few_names(folder):
    for name in ("D0.jpg", "D2.jpg", "S1.png", "T3.jpg"):
        (folder / "images" / name).unlink()
    with pytest.raises(UserError, match=r"3 of 9 images of FashionIQ's train split .*\(D0, D2, S1\).*allow_missing"):
        train(folder)
    with pytest.raises(UserError, match=r"4 of 12 images of FashionIQ's val split .*\(D0, D2, S1, \.\.\.\)") as error:
        val(folder)
    assert "\n" not in str(error.value) and str(folder / "images") in str(error.value)


def test_missing_images_are_left_out_and_counted_where_that_is_allowed(folder, caplog):
    for name in ("D2.jpg", "S0.jpg", "T3.jpg"):
        (folder / "images" / name).unlink()
    # All three requests of a class would go with its image 0.
    path = folder / "captions" / "cap.shirt.val.json"
    entries = json.loads(path.read_text())
    path.write_text(json.dumps([*entries, {"candidate": "S1", "target": "S3", "captions": ["is 3", "longer"]}]))
    with caplog.at_level(logging.WARNING):
        dataset = val(folder, allow_missing=True)
    assert "3 of 12 images" in caplog.text and "4 requests are left out" in caplog.text
    assert dataset.left_out == 4 and dataset.missing_images == 3
    assert len(dataset) == 9 and ("toptee", "T3") not in dataset.keys
    pairs = [(dataset.keys[r][1], dataset.keys[t][1]) for r, t in zip(dataset.reference, dataset.target, strict=True)]
    assert pairs == [("D0", "D1"), ("D1", "D0"), ("S1", "S3"), ("T0", "T1"), ("T0", "T2"), ("T1", "T0")]
    assert dataset.texts[2] == "is 3 and longer"


def test_a_class_of_which_nothing_is_left_is_an_error(folder):
    (folder / "images" / "S0.jpg").unlink()
    with pytest.raises(UserError, match="leaves no request of shirt"):
        train(folder, allow_missing=True)


@pytest.mark.parametrize("gone", ["", "images", "captions", "captions/cap.shirt.val.json", "image_splits"])
def test_what_is_missing_is_named_with_the_way_to_get_it(folder, gone):
    path = folder / gone
    path.unlink() if path.is_file() else shutil.rmtree(path)
    with pytest.raises(UserError, match=r"is missing: .*XiaoxiaoGuo/fashion-iq.*fashioniq_mini") as error:
        val(folder)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"[{", b"", b"\xff\xfe\x00", b"404: Not Found"])
def test_damaged_json_is_named(folder, content):
    path = folder / "captions" / "cap.dress.train.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"cap.dress.train.json is damaged .*: copy the file again") as error:
        train(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"D0": "D1"}, "holds a dict instead of FashionIQ's list"),
        ([], "holds an empty list"),
        (["D0"], 'entry 0 must have candidate and target .* but is "D0"'),
        ([{"candidate": "D0", "captions": ["a", "b"]}], "entry 0 must have candidate"),  # the test split has no targets
        ([{"candidate": "D0", "target": "D1", "captions": ["a"]}], "entry 0 must have candidate"),
        ([{"candidate": "D0", "target": "D1", "captions": "ab"}], "entry 0 must have candidate"),
        ([{"candidate": "D0", "target": 1, "captions": ["a", "b"]}], "entry 0 must have candidate"),
    ],
)
def test_json_of_another_shape_is_named(folder, content, message):
    (folder / "captions" / "cap.dress.train.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"cap.dress.train.json:? ?.*{message}"):
        train(folder)


def test_an_image_list_of_another_shape_is_named(folder):
    (folder / "image_splits" / "split.shirt.val.json").write_text('["S0", 7]')
    with pytest.raises(UserError, match="split.shirt.val.json: entry 1 must be an image id, but is 7"):
        val(folder)


def test_a_request_about_an_image_that_is_not_listed_is_an_error(folder):
    (folder / "image_splits" / "split.shirt.val.json").write_text('["S0", "S1", "S3"]')
    with pytest.raises(UserError, match=r"cap.shirt.val.json names S2, which .*split.shirt.val.json lacks"):
        val(folder)


@pytest.mark.parametrize(("keep", "reason"), [(0, "is an empty file"), (300, "cannot be read: ")])
def test_a_damaged_image_is_named(folder, keep, reason):
    path = folder / "images" / "S2.jpg"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=f"S2.jpg {reason}.*: download it again, or delete it"):
        val(folder)[6]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('[{"candidate": "D0", "target": "D1", "captions": ["a", "\\ud800"]}]', "is damaged"),
        ("[" * 100_000, "is damaged .*recursion limit"),
        ('[{"candidate": "D0"', "is damaged .*EOF"),
        ('[{"candidate": 3, "target": "D1", "captions": ["a", "b"]}]', "entry 0 must have candidate and target"),
        ("[[]]", "entry 0 must have candidate and target"),
    ],
)
def test_requests_that_were_edited_are_one_sentence(folder, content, reason):
    (folder / "captions" / "cap.dress.train.json").write_text(content)
    with pytest.raises(UserError, match=f"cap.dress.train.json.*{reason}.*copy the file again") as caught:
        train(folder)
    assert "\n" not in str(caught.value)


def test_unreadable_folders_and_files_are_named(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    path = folder / "image_splits" / "split.shirt.val.json"
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match=r"split.shirt.val.json cannot be read \(Not a regular file\): copy the file"):
        val(folder)
    monkeypatch.setattr("os.listdir", refuse)
    with pytest.raises(UserError, match=r"images cannot be read \(Permission denied\): make it readable"):
        train(folder)
