from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf
from tiny import CONFIG, tiny_model
from vocabularies import save, turned, write_vocabulary

from fashionfae_lavis.checkpoints import save_safetensors
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.tasks.attribute_probe import AttributeProbeTask
from fashionfae_lavis.tasks.pretrain import FashionFAEPretrainTask
from fashionfae_lavis.tasks.retrieval import FashionRetrievalTask


def build(model=None, task=FashionRetrievalTask, **run):
    """The model of a task; `model` overrides tiny.yaml, and LAVIS makes configurations that are closed."""
    config = OmegaConf.load(CONFIG).model
    config.update({"arch": "fashionfae_retrieval", "load_pretrained": True, **(model or {})})
    OmegaConf.set_struct(config, True)
    cfg = SimpleNamespace(model_cfg=config, run_cfg=OmegaConf.create(run))
    return task.setup_task(cfg).build_model(cfg), config


@pytest.fixture
def checkpoint(tmp_path):
    """Weights of a pre-training model whose scale is 3."""
    model = tiny_model()
    model.scale.data.fill_(3.0)
    path = tmp_path / "pretrained.safetensors"
    save_safetensors(model.state_dict(), {"model": {"arch": "fashionfae"}}, path)
    return str(path)


def test_it_starts_from_the_checkpoint_or_with_one_option_more_without(checkpoint):
    model, _ = build({"pretrained": checkpoint})
    expected = tiny_model().image_encoder.state_dict()
    assert model.scale.item() == 3.0
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.image_encoder.state_dict().items())

    torch.manual_seed(5)
    fresh, config = build({"pretrained": checkpoint}, from_scratch=True)
    assert fresh.scale.item() == 4.0
    assert not torch.equal(fresh.image_encoder.blocks[0].attn.qkv.weight, expected["blocks.0.attn.qkv.weight"])
    assert config.pretrained is None and not config.load_pretrained  # what the run's config.yaml says


def test_from_scratch_keeps_the_start_of_pre_training_where_there_is_one(checkpoint):
    with pytest.raises(UserError, match="Cannot read the BERT of `model.bert` from '/nowhere'"):
        build({"pretrained": checkpoint, "bert": "/nowhere", "vit": "/nowhere"}, from_scratch=True)


@pytest.mark.parametrize("model", [{}, {"pretrained": None}, {"pretrained": "a.pth", "load_pretrained": False}])
@pytest.mark.parametrize("run", [{}, {"evaluate": True}])
def test_no_checkpoint_is_an_error(model, run):
    with pytest.raises(UserError, match="set model.pretrained to one .* or run.from_scratch to True"):
        build(model, **run)


def test_a_checkpoint_that_does_not_fit_is_named_with_its_key(checkpoint):
    for changes, message in (
        ({"pretrained": "/nowhere.pth"}, "model.pretrained: There is no checkpoint file /nowhere.pth; set it to"),
        (
            {"pretrained": checkpoint, "image_encoder": {"patch_size": 8, "width": 32, "depth": 2, "heads": 2}},
            f"model.pretrained: {checkpoint} is of another architecture: .*; set it to a checkpoint of this model_type",
        ),
        ({"load_finetuned": True, "finetuned": "/nowhere.pth"}, "model.finetuned: There is no checkpoint file"),
    ):
        with pytest.raises(UserError, match=message):
            build(changes)
    with pytest.raises(UserError, match="^Cannot read the vocabulary of `model.vocabulary`"):
        build({"pretrained": checkpoint, "vocabulary": "/nowhere"})


def test_reranking_needs_the_itm_head(checkpoint):
    model, _ = build({"pretrained": checkpoint, "arch": "fashionfae"}, k_test=4)
    assert model.itm_head is not None
    with pytest.raises(UserError, match="run.k_test: the model fashionfae_retrieval has no ITM head"):
        build({"pretrained": checkpoint}, k_test=4)
    for wrong in (-1, "many", 1.5):
        with pytest.raises(UserError, match=f"run.k_test is {wrong}, but must be a number of candidates"):
            build({"pretrained": checkpoint, "arch": "fashionfae"}, k_test=wrong)


def test_fine_tuning_and_evaluation_read_the_checkpoint_s_words(tmp_path):
    folder = str(write_vocabulary(tmp_path / "words", turned()))
    trained = tiny_model(vocabulary=folder)
    save(trained, tmp_path / "a.pth")
    assert trained.tokenizer.get_vocab() != tiny_model().tokenizer.get_vocab()
    for task, run in ((FashionRetrievalTask, {}), (AttributeProbeTask, {"evaluate": True})):
        model, _ = build({"pretrained": str(tmp_path / "a.pth")}, task=task, **run)
        assert model.tokenizer.get_vocab() == trained.tokenizer.get_vocab()
        for name, tensor in model.fusion_encoder.state_dict().items():
            assert torch.equal(tensor, trained.fusion_encoder.state_dict()[name]), name
    model, _ = build({"arch": "fashionfae", "pretrained": str(tmp_path / "a.pth")}, task=FashionFAEPretrainTask)
    assert model.tokenizer.get_vocab() == tiny_model().tokenizer.get_vocab(), "pre-training keeps its own"
