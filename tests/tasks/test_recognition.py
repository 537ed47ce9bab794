"""Recognition through LAVIS's configuration and our runner, on a tiny drawn dataset."""

import argparse
import json

import h5py
import numpy as np
import pytest
import torch
from authors import tiny_of
from lavis.common.registry import registry
from lavis.models import load_model_and_preprocess
from lavis.models.albef_models.albef_classification import AlbefClassification
from lavis.models.clip_models.model import CLIP
from lavis.models.med import XBertEncoder
from lavis.models.vit import VisionTransformerEncoder
from omegaconf import OmegaConf
from recognition_data import CATEGORIES, build, datasets_section, draw, loader_of
from tiny import CONFIG, tiny_model
from transformers import BertConfig

from fashionfae_lavis.checkpoints import read_checkpoint, save_safetensors
from fashionfae_lavis.datasets.builders import FashionGenBuilder
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models import FashionRecognition
from fashionfae_lavis.tasks.recognition import FashionRecognitionTask
from fashionfae_lavis.train import load_config, run_config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("mini"))


def test_what_the_prompts_of_category_and_sub_category_say_reaches_no_model(folder, tmp_path):
    """Renaming both fields changes only the name of the label, not what the model sees."""
    renamed = draw(tmp_path / "renamed")
    for path in renamed.glob("*.h5"):
        with h5py.File(path, "r+") as file:
            for name in ("input_category", "input_subcategory"):
                column = np.char.add(b"quagga ", file[name][:])
                del file[name]
                file[name] = column
    model = tiny_of(FashionRecognition, num_classes=6).eval()
    seen = []
    model.fusion_encoder.embeddings.word_embeddings.register_forward_hook(lambda _, ids, __: seen.append(ids[0]))
    logits = []
    for source in (folder, renamed):
        dataset = build(source)["val"]
        assert ("quagga" in dataset.classnames[0]) == (source is renamed)
        logits.append([model.predict(samples)["predictions"] for samples in loader_of(dataset)])
    for logit, other in zip(*logits, strict=True):
        assert torch.equal(logit, other)
    words = {model.tokenizer.decode(row) for ids in seen for row in ids}
    assert words and not any("image category is" in text or "sub category" in text for text in words)
    assert all("the image title is" in text and "the image composition is" in text for text in words)
    # the test would notice: the text of pre-training names them
    text = build(renamed, label=None, text_processor=dict.fromkeys(("train", "eval"), {"name": "fashionfae_text"}))
    assert "quagga" in text["val"][0]["text_input"]


@pytest.fixture
def configuration(tmp_path, folder, monkeypatch):
    """Writes a configuration and loads it with the options of a command line; the working directory is `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    pretrained = tmp_path / "pretrained.safetensors"
    save_safetensors(tiny_model().state_dict(), {"model": {"arch": "fashionfae"}}, pretrained)

    def load(*options, **dataset):
        content = {
            "model": {
                **OmegaConf.load(CONFIG).model,
                "arch": "fashionfae_recognition",
                "load_pretrained": True,
                "pretrained": str(pretrained),
            },
            "datasets": {"fashiongen": datasets_section(folder, **dataset)},
            "run": {
                "runner": "fashionfae_runner",
                "task": "fashion_recognition",
                "output_dir": "output",
                "device": "cpu",
                "max_iters": 12,
                "batch_size_train": 8,
                "batch_size_eval": 16,
                "init_lr": 3e-3,
                "lr_sched": "linear_warmup_cosine_iter",
                "train_splits": ["train"],
                "valid_splits": ["val"],
                "test_splits": ["val"],
            },
        }
        OmegaConf.save(OmegaConf.create(content), "config.yaml")
        return load_config(argparse.Namespace(cfg_path="config.yaml", options=list(options) or None))

    return load


def test_a_run_its_checkpoint_and_what_is_refused(configuration, capsys, tmp_path):
    results = run_config(configuration())["val"]
    (run,) = (tmp_path / "output").iterdir()
    printed = capsys.readouterr().out
    for words in ("JACKETS & COATS", "macro-F1", "always the most frequent class", str(run / "confusion.png")):
        assert words in printed
    assert (run / "confusion.png").stat().st_size > 10_000
    written = json.loads((run / "results.json").read_text())["val"]
    assert written["accuracy"] == results["accuracy"]
    assert sum(row["support"] for row in written["per_class"].values()) == written["images"]

    # the classes are part of the checkpoint, from which the model comes back
    checkpoint = str(run / "checkpoint_best.pth")
    assert read_checkpoint(checkpoint)["config"]["model"]["classes"] == CATEGORIES
    model = FashionRecognition.from_pretrained(checkpoint)
    assert model.classes == CATEGORIES and model.classifier[1].out_features == 6
    _, _, text_processors = load_model_and_preprocess("fashionfae", checkpoint)
    fields = {"title": "Coat", "category": "JACKETS & COATS", "season": "SS2017"}
    assert "jackets" not in text_processors["eval"](fields) and "spring summer" in text_processors["eval"](fields)

    # evaluated again it gives the same figures; with other classes it is refused
    options = (f"model.pretrained={checkpoint}", "run.output_dir=again")
    assert run_config(configuration(*options), evaluate=True)["val"]["accuracy"] == results["accuracy"]
    with pytest.raises(UserError, match="distinguishes 6 classes, the dataset has 10, and"):
        run_config(configuration(*options, label="sub category"), evaluate=True)


def test_a_model_trained_on_images_alone_comes_back_as_one(configuration, tmp_path):
    run_config(configuration("model.use_text=False", "run.max_iters=2"))
    (run,) = (tmp_path / "output").iterdir()
    assert not FashionRecognition.from_pretrained(str(run / "checkpoint_last.pth")).use_text


@pytest.mark.parametrize("option", ["run.from_scratch=False", "run.from_scratch=True"])
def test_evaluation_of_a_classifier_that_is_not_trained_is_an_error(configuration, option):
    with pytest.raises(UserError, match="no trained classifier to evaluate: set `model.pretrained`"):
        run_config(configuration(option), evaluate=True)


def test_fine_tuning_needs_a_checkpoint_unless_it_is_to_be_from_scratch(configuration, tmp_path):
    with pytest.raises(UserError, match="starts from a pre-trained checkpoint: set model.pretrained to one"):
        run_config(configuration("model.pretrained=null"))
    run_config(configuration("model.pretrained=null", "run.from_scratch=True", "run.max_iters=2"))


def test_from_scratch_is_one_option(configuration):
    """A run starts from the checkpoint's encoders (`tiny_model`), and with `from_scratch` from other weights."""
    pretrained = tiny_model().image_encoder.state_dict()
    same = []
    for option in ("run.from_scratch=False", "run.from_scratch=True"):
        config, task = configuration(option), FashionRecognitionTask({})
        task.build_datasets(config)
        torch.manual_seed(1)
        built = task.build_model(config).image_encoder.state_dict()
        same.append(all(torch.equal(built[name], tensor) for name, tensor in pretrained.items()))
    assert same == [True, False]


def test_data_without_labels_is_an_error(configuration):
    with pytest.raises(UserError, match="`datasets.fashiongen.label` is not set: set it to an attribute"):
        run_config(configuration(label=None))


def test_two_data_sets_are_an_error(configuration, monkeypatch):
    config = configuration()
    monkeypatch.setitem(registry.mapping["builder_name_mapping"], "another", FashionGenBuilder)
    config.datasets_cfg.another = config.datasets_cfg.fashiongen
    with pytest.raises(UserError, match="recognition takes one dataset, not fashiongen, another"):
        FashionRecognitionTask({}).build_datasets(config)


def test_a_classification_model_of_lavis_trains_and_is_evaluated(folder):
    tokenizer = tiny_of(FashionRecognition).tokenizer

    class TinyAlbef(AlbefClassification):
        @classmethod
        def init_tokenizer(cls):
            return tokenizer

    torch.manual_seed(0)
    image_encoder = VisionTransformerEncoder(img_size=32, patch_size=8, embed_dim=32, depth=1, num_heads=2)
    text = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        encoder_width=32,
        fusion_layer=1,
        add_cross_attention=True,
        add_type_embeddings=False,
    )
    model = TinyAlbef(image_encoder, XBertEncoder(text, add_pooling_layer=False), num_classes=6, max_txt_len=90)
    splits, task = build(folder), FashionRecognitionTask({})
    samples = {**next(iter(loader_of(splits["train"]))), "epoch": 0, "iters": 0, "num_iters_per_epoch": 5}
    output = task.train_step(model, samples)
    assert list(output) == ["loss"] and output["loss"].requires_grad
    results = task.evaluation(model.eval(), loader_of(splits["val"]))
    assert results["images"] == len(splits["val"]) and 0 <= results["accuracy"] <= 100


def test_clip_of_lavis_is_told_the_names_of_the_classes(folder):
    """CLIP's `before_evaluation` makes a classifier from class names only for LAVIS's task."""

    class Named(CLIP):
        prompt_templates = ()

        def __init__(self):
            torch.nn.Module.__init__(self)

        def zero_shot_classifier(self, classnames, templates):
            return list(classnames)

    model = Named()
    FashionRecognitionTask({}).before_evaluation(model, build(folder)["val"])
    assert model.classifier == CATEGORIES
