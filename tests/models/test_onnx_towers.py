"""Exported towers agree with their model, in onnxruntime alone, and 8-bit towers state what they lose."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import COLOURS, tiny_model
from tokenizers import Tokenizer

from fashionfae_lavis.cli import main
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models import FashionFAE, export, onnx_towers
from fashionfae_lavis.models.export import export_onnx
from fashionfae_lavis.models.onnx_towers import (
    FILES,
    FLOAT,
    INT8,
    OnnxTowers,
    Parity,
    parity,
    quantise,
    replacing_together,
)
from fashionfae_lavis.models.portable_tokenizers import portable
from fashionfae_lavis.processors import FashionImageEvalProcessor

ROOT = Path(__file__).parents[2]
PREPROCESS = {
    "vis_processor": {
        "eval": {"name": "fashionfae_image_eval", "resize": 40, "image_size": 32, "mean": [0.4] * 3, "std": [0.2] * 3}
    },
    "text_processor": {"eval": {"name": "fashionfae_text"}},
}


def test_parity_is_the_largest_difference_and_the_share_of_equal_best_texts():
    rng = np.random.default_rng(0)
    images, texts = rng.normal(size=(9, 4)).astype("f"), rng.normal(size=(5, 4)).astype("f")
    other = images + rng.normal(size=images.shape).astype("f")
    found = parity((images, texts), (other, texts))
    same = [
        max(range(5), key=lambda t: a @ texts[t]) == max(range(5), key=lambda t: b @ texts[t])
        for a, b in zip(images, other, strict=True)
    ]
    assert found.difference == pytest.approx(max(abs(a - b) for a, b in zip(images.flat, other.flat, strict=True)))
    assert found.agreement == pytest.approx(100 * sum(same) / 9) and 0 < sum(same) < 9
    assert not found.is_good and parity((images, texts), (images, texts)).is_good
    broken = texts.copy()
    broken[0, 0] = np.nan
    assert parity((images, texts), (images, broken)).difference == np.inf


@pytest.mark.parametrize(("difference", "agreement", "good"), [(1e-4, 95, True), (2e-4, 100, False), (0, 94, False)])
def test_parity_that_is_good(difference, agreement, good):
    assert Parity(difference, agreement, 100).is_good is good


def test_8_bits_need_products(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["export-onnx", "mini", str(tmp_path), "--int8"])
    message, command = capsys.readouterr().err.splitlines()
    assert "name products to measure the loss on, with --products CATALOGUE" in message
    assert command == f"fashionfae export-onnx mini {tmp_path} --int8 --products fashiongen_mini"


@pytest.mark.parametrize("arguments", [["none.pth"], ["mini", "--products", "none"]])
def test_a_missing_checkpoint_or_catalogue_is_one_sentence(tmp_path, capsys, arguments):
    with pytest.raises(SystemExit):
        main(["export-onnx", arguments[0], str(tmp_path / "new"), *arguments[1:]])
    assert re.match(r"error: (There is no checkpoint file|none is neither a folder with)", capsys.readouterr().err)
    assert not (tmp_path / "new").exists()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The tiny model and the folder of its towers, in both precisions."""
    model, folder = tiny_model().eval(), tmp_path_factory.mktemp("onnx") / "new"
    model.built_from({"model": model.settings.model, "preprocess": PREPROCESS})
    found = export_onnx(model, folder)
    assert found.is_good and found.images == 32
    quantise(folder)
    return model, folder


@pytest.mark.slow
def test_the_files_are_complete(exported):
    model, folder = exported
    assert sorted(path.name for path in folder.iterdir()) == sorted((*FILES, *INT8))
    processing = json.loads((folder / "processing.json").read_text())
    assert processing["text"] == {"prefix": "the image description is ", "max_length": model.max_length}
    assert processing["image"] == model.processing()["vis_processor"]["eval"]
    texts = ["red dress", "white cotton shirt [SEP] the image season is fall winter 2016"]
    rows, ours = Tokenizer.from_file(str(folder / "tokenizer.json")).encode_batch(texts), model.tokenize(texts)
    assert [row.ids for row in rows] == ours.input_ids.tolist()
    assert [row.attention_mask for row in rows] == ours.mask.tolist()
    assert len(Tokenizer.from_file(str(folder / "tokenizer.json")).encode("dress " * 500).ids) == model.max_length


@pytest.mark.slow
@pytest.mark.parametrize(("size", "words"), [(1, 1), (3, 9), (5, 40)])
def test_towers_read_any_batch_and_length(exported, size, words):
    model, folder = exported
    images, texts = torch.randn(size, 3, 32, 32), [" ".join(COLOURS * 5)[: 5 * words]] * size
    towers = OnnxTowers(folder)
    ours = model.extract_features({"image": images}, "image").image_embeds_proj[:, 0]
    theirs = model.extract_features({"text_input": texts}, "text").text_embeds_proj[:, 0]
    assert np.abs(towers.embed_images(images.numpy()) - ours.numpy()).max() < 1e-5
    assert np.abs(towers.embed_texts(texts) - theirs.numpy()).max() < 1e-5


@pytest.mark.slow
def test_8_bit_towers_differ_a_little(exported):
    _, folder = exported
    images, texts = np.random.default_rng(0).normal(size=(4, 3, 32, 32)).astype("f"), list(COLOURS)
    exact, rounded = OnnxTowers(folder), OnnxTowers(folder, INT8)
    found = parity(*((tower.embed_images(images), tower.embed_texts(texts)) for tower in (exact, rounded)))
    assert 1e-5 < found.difference < 0.2
    assert np.abs(np.linalg.norm(rounded.embed_texts(texts), axis=1) - 1).max() < 1e-5
    sizes = [[(folder / name).stat().st_size for name in files] for files in (INT8, FLOAT)]
    assert all(small < whole for small, whole in zip(*sizes, strict=True))


@pytest.mark.slow
def test_towers_that_do_not_agree_are_not_written(exported, monkeypatch):
    model, folder = exported
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(onnx_towers, "MOST_DIFFERENCE", 0.0)
    with pytest.raises(UserError, match="The exported towers do not agree with the model .*so nothing was written"):
        export_onnx(model, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_files_are_replaced_together_or_not_at_all(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(ValueError), replacing_together(tmp_path, ["a", "b"]) as folder:
        (folder / "a").write_text("new")
        raise ValueError
    assert (tmp_path / "a").read_text() == "old" and len(list(tmp_path.iterdir())) == 1
    with replacing_together(tmp_path, ["a", "b"]) as folder:
        for name in "ab":
            (folder / name).write_text("new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "new", "b": "new"}
    with pytest.raises(UserError, match="Cannot write to .*none"), replacing_together(tmp_path / "none", ["a"]):
        pass


@pytest.mark.slow
def test_the_program_in_the_documentation_needs_no_torch(exported, tmp_path):
    """Runs docs/handing-on.md's program where torch and this package cannot be imported."""
    model, folder = exported
    (tmp_path / "onnx").symlink_to(folder)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (90, 70, 3), np.uint8)).resize((350, 450)).save(tmp_path / "photo.jpg")
    (code,) = re.findall(r"```python\n(import json.*?)```", (ROOT / "docs/handing-on.md").read_text(), re.DOTALL)
    assert len(code.splitlines()) <= 20
    blocked = (
        "import sys\nfor name in ('torch', 'lavis', 'fashionfae_lavis', 'transformers'): sys.modules[name] = None\n"
    )
    done = subprocess.run([sys.executable, "-c", blocked + code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = np.array([float(number) for number in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", done.stdout)])
    settings = {key: value for key, value in model.processing()["vis_processor"]["eval"].items() if key != "name"}
    image = FashionImageEvalProcessor(**settings)(tmp_path / "photo.jpg")[None]
    texts = [f"the image description is {text}" for text in ("red silk dress", "blue jeans")]
    ours = model.extract_features({"image": image}, "image").image_embeds_proj[:, 0]
    theirs = model.extract_features({"text_input": texts}, "text").text_embeds_proj[:, 0]
    assert found == pytest.approx((ours @ theirs.T)[0].numpy(), abs=1e-4)


def write_catalogue(folder, count=12):
    """A prepared catalogue of plain colours, all in `val`."""
    folder.mkdir()
    head = {"format": 1, "images": ".", "attributes": ["colour"], "products": {"val": count}}
    lines = [json.dumps(head)]
    for row in range(count):
        colour = COLOURS[row % len(COLOURS)]
        Image.new("RGB", (40, 40), colour).save(folder / f"{row}.png")
        product = {"split": "val", "row": row, "id": str(row), "images": [f"{row}.png"], "title": f"{colour} {row}"}
        lines.append(json.dumps({**product, "description": "", "fields": {"colour": colour}}))
    (folder / "catalogue.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.slow
def test_the_loss_of_recall_is_printed(exported, tmp_path, monkeypatch, capsys):
    model, folder = exported
    # The command without the export, which the fixture did.
    monkeypatch.setattr(export, "export_onnx", lambda model, folder, processing: Parity(1e-7, 100.0, 32))
    monkeypatch.setattr(onnx_towers, "quantise", lambda folder: None)
    checkpoint = tmp_path / "saved"
    model.save_pretrained(checkpoint)
    catalogue = write_catalogue(tmp_path / "catalogue")
    main(["export-onnx", str(checkpoint), str(folder), "--int8", "--products", str(catalogue)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "random images and words: largest difference 1.0e-07, same best text for 100.0 % of 32 images"
    assert lines[4].split() == ["12", "images", "of", "val", "I2T", "R@1", "R@10", "T2I", "R@1", "R@10"]
    rows = {line[:24].strip(): [float(number) for number in line[24:].split()] for line in lines[5:8]}
    assert list(rows) == ["PyTorch", "ONNX", "ONNX, 8 bits"]
    assert rows["PyTorch"] == rows["ONNX"] and all(0 <= value <= 100 for row in rows.values() for value in row)
    assert rows["PyTorch"][1] > 0
    assert re.match(r"ONNX: largest difference \d\.\de-0[5-9], same best text for 100.0 % of 12 images", lines[8])


def test_texts_of_the_check_have_no_special_pieces():
    """The mini model's drawn texts had a [SEP], and the export of the shipped weights failed its check."""
    model = FashionFAE.from_pretrained("mini").eval()
    texts = export._random_texts(portable(model.tokenizer, model.max_length))
    assert [len(text.split()) for text in (texts[0], texts[-1])] == [1, model.max_length - 2]
    assert not set(" ".join(texts).split()) & set(model.tokenizer.all_special_tokens)
