"""BLIP, ALBEF and CLIP as ONNX: the files give the vectors that search computes with the checkpoint."""

import json
import re

import numpy as np
import pytest
from drawn_photographs import photograph
from lavis_runs import fake_downloads, lavis_run
from trained import checkpoint_of

from fashionfae_lavis.cli import main
from fashionfae_lavis.models.onnx_towers import FILES, FLOAT, INT8, OnnxTowers, quantise
from fashionfae_lavis.search.encoder import Encoder

OURS = ("fashion_blip", "fashion_albef_retrieval", "fashion_clip")
LAVIS = ("blip_retrieval", "albef_pretrain", "clip")
QUERIES = ["Red dress", "blue wool coat", "a shirt with long sleeves and a collar in our studio"]
PHOTOGRAPHS = [photograph(seed) for seed in range(3)]


@pytest.mark.slow
@pytest.mark.parametrize("arch", [*OURS, *LAVIS])
def test_exported_towers_give_the_vectors_of_search(arch, tmp_path, monkeypatch, capsys):
    fake_downloads(monkeypatch)
    path = lavis_run(arch, tmp_path / "run")[1] if arch in LAVIS else checkpoint_of(arch, tmp_path / "last.pth")
    folder = tmp_path / "onnx"
    main(["export-onnx", str(path), str(folder)])
    assert re.search(
        r"random images and words: largest difference \d\.\de-0[5-9], same best text for 100.0 % of 32 images",
        capsys.readouterr().out,
    )
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    how, encoder = json.loads((folder / "processing.json").read_text()), Encoder.open(str(path), "cpu")
    assert {"image_size", "mean", "std"} <= how["image"].keys()
    texts = [how["text"]["prefix"] + query.lower() for query in QUERIES]
    towers = OnnxTowers(folder)
    for count in (1, 3):
        images = encoder.process(PHOTOGRAPHS[:count]).numpy()
        np.testing.assert_allclose(towers.embed_images(images), encoder.embed_images(PHOTOGRAPHS[:count]), atol=1e-5)
        np.testing.assert_allclose(towers.embed_texts(texts[:count]), encoder.embed_texts(QUERIES[:count]), atol=1e-5)
    assert np.abs(towers.embed_texts(texts) @ towers.embed_texts(texts).T - 1).max() > 1e-3  # texts differ
    quantise(folder)
    rounded = OnnxTowers(folder, INT8)
    for exact, other in (
        (towers.embed_images(images), rounded.embed_images(images)),
        (towers.embed_texts(texts), rounded.embed_texts(texts)),
    ):
        assert 1e-6 < np.abs(exact - other).max() < 0.5
        np.testing.assert_allclose(np.linalg.norm(other, axis=1), 1, atol=1e-5)
    sizes = [[(folder / name).stat().st_size for name in files] for files in (INT8, FLOAT)]
    assert all(small < whole for small, whole in zip(*sizes, strict=True))


@pytest.mark.parametrize("arch", ["fashion_blip_caption", "fashion_albef_recognition"])
def test_models_without_towers_are_one_sentence(arch, tmp_path, capsys):
    path = checkpoint_of(arch, tmp_path / "last.pth")
    with pytest.raises(SystemExit):
        main(["export-onnx", str(path), str(tmp_path / "new")])
    assert "has no image and text tower to export" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
