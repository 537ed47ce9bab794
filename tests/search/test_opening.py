import pytest
import torch
from drawn_photographs import photograph
from lavis.common.registry import registry
from lavis_runs import fake_downloads, lavis_run
from trained import PROCESSING, checkpoint_of, different_weights

from fashionfae_lavis.checkpoints import read_checkpoint, save_atomically, save_safetensors
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models import FashionFAE
from fashionfae_lavis.processors import FashionImageEvalProcessor
from fashionfae_lavis.search.opening import open_model


def opened(path):
    return open_model(str(path), "cpu")


def test_a_checkpoint_opens_with_the_processing_of_its_dataset(tmp_path, monkeypatch):
    path = checkpoint_of("fashion_clip", tmp_path / "last.pth")
    monkeypatch.chdir(tmp_path)
    model = opened("./last.pth")
    assert model.name == str(path) and not model.model.training and len(model.digest) == 16
    image = photograph(0)
    assert torch.equal(model.image_processor(image), FashionImageEvalProcessor(32, 36)(image))
    assert model.text_processor("Red DRESS") == "the image description is red dress"


def test_a_checkpoint_without_datasets_has_the_processing_of_the_model(tmp_path):
    own = {"vis_processor": {"eval": {"name": "fashionfae_image_eval", "resize": 50, "image_size": 32}}}
    model = opened(checkpoint_of("fashionfae", tmp_path / "last.pth", datasets={}, preprocess=own))
    image = photograph(0)
    assert torch.equal(model.image_processor(image), FashionImageEvalProcessor(32, 50)(image))
    assert model.text_processor("Red DRESS") == "Red DRESS"


def test_the_digest_is_of_weights_vocabulary_and_image_processing(tmp_path):
    path = checkpoint_of("fashionfae", tmp_path / "last.pth")
    first = opened(path).digest
    content = read_checkpoint(path)
    save_safetensors(content["model"], content["config"], tmp_path / "copy.safetensors")
    FashionFAE.from_pretrained(str(path)).save_pretrained(tmp_path / "saved")
    assert opened(tmp_path / "copy.safetensors").digest == first == opened(tmp_path / "saved").digest

    assert opened(different_weights(path, tmp_path / "other.pth")).digest != first
    wider = {"catalogue": {"vis_processor": {"eval": {"name": "fashionfae_image_eval", "resize": 40}}}}
    assert opened(checkpoint_of("fashionfae", tmp_path / "wider.pth", datasets=wider)).digest != first
    config = content["config"]
    words = config["vocabulary"].replace('"dress"', '"ballgown"')
    assert words != config["vocabulary"]
    save_atomically({**content, "config": {**config, "vocabulary": words}}, tmp_path / "words.pth")
    assert opened(tmp_path / "words.pth").digest != first


def test_the_digest_of_a_model_whose_queue_is_random(tmp_path):
    path = checkpoint_of("fashion_blip", tmp_path / "last.pth")
    content = read_checkpoint(path)
    queues = [name for name in content["model"] if name.endswith("_queue")]
    content["model"][queues[0]] = torch.randn_like(content["model"][queues[0]])
    save_atomically(content, tmp_path / "other.pth")
    assert queues and opened(path).digest == opened(tmp_path / "other.pth").digest


def test_a_checkpoint_of_lavis_s_own_class(tmp_path, monkeypatch):
    fake_downloads(monkeypatch)
    trained, path = lavis_run("blip_retrieval", tmp_path / "run")
    model = opened(path)
    assert torch.equal(model.model.itm_head.weight, trained.itm_head.weight) and not model.model.training
    assert model.text_processor("Red DRESS") == "red dress"
    assert model.image_processor(photograph(0)).shape == (3, 32, 32)


def test_a_checkpoint_of_another_class_of_lavis(tmp_path, monkeypatch):
    class Other(torch.nn.Linear):
        @classmethod
        def from_config(cls, cfg):
            assert cfg.load_finetuned and cfg.finetuned == str(tmp_path / "last.pth")  # and nothing is downloaded
            return cls(2, 2)

    monkeypatch.setitem(registry.mapping["model_name_mapping"], "other", Other)
    trained = Other(2, 2)
    config = {"model": {"arch": "other", "pretrained": "https://no.where/x.pth"}, "datasets": {"a": PROCESSING}}
    save_atomically({"model": trained.state_dict(), "config": config}, tmp_path / "last.pth")
    assert torch.equal(opened(tmp_path / "last.pth").model.weight, trained.weight)


def test_a_model_by_its_name():
    model = opened("fashionfae")
    assert model.name == "fashionfae" and opened("fashionfae:mini").digest == model.digest
    assert model.image_processor(photograph(0)).shape == (3, 112, 112)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fashionfea", r"no checkpoint, folder or model fashionfea: did you mean fashionfae\?"),
        ("nothing", r"no checkpoint, folder or model nothing: name a checkpoint file"),
        ("runs/last.pth", "There is no checkpoint file runs/last.pth"),
        ("clip", "The model clip needs a type: use clip:ViT-B-32 or "),
        ("clip:ViT-Z", "The model clip has no type 'ViT-Z': use clip:ViT-B-32 or "),
        (".", "The folder . holds no saved model, because it has no config.json"),
        ("shop/none", "There is no folder shop/none, the hub's cache has no config.json of a model with this id"),
    ],
)
def test_models_that_do_not_exist(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        opened(name)


def test_checkpoints_that_name_no_model_or_processing(tmp_path):
    save_atomically({"model": {"a": torch.zeros(1)}}, tmp_path / "bare.pth")
    with pytest.raises(UserError, match="names no model in `model.arch`"):
        opened(tmp_path / "bare.pth")
    broken = {"catalogue": {"vis_processor": {"eval": {"name": "no_such"}}}}
    with pytest.raises(UserError, match="There is no processor 'no_such', which the checkpoint names"):
        opened(checkpoint_of("fashionfae", tmp_path / "broken.pth", datasets=broken))
    none = {"catalogue": {"vis_processor": {}}}
    with pytest.raises(UserError, match="does not say how it processes images"):
        opened(checkpoint_of("fashionfae", tmp_path / "none.pth", datasets=none))
    with pytest.raises(UserError, match="--device is 'tpu', but must be auto, cpu or cuda"):
        open_model("fashionfae", "tpu")
