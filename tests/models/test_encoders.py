"""Starting from trained encoders, both or one of them."""

import pytest
import torch
from omegaconf import OmegaConf

from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models import FashionRetrieval
from fashionfae_lavis.models.configuration import shipped

FILE = "mini_encoders.safetensors"


def build(**options) -> FashionRetrieval:
    torch.manual_seed(0)
    model = OmegaConf.merge(FashionRetrieval.config_for("mini").model, options)
    return FashionRetrieval.from_config(model)


def test_one_of_the_encoders_alone_is_taken():
    weights = read_checkpoint(shipped("weights", FILE))["model"]
    scratch = build(load_pretrained=False).state_dict()
    state = build(pretrained=FILE, pretrained_encoders=["image_encoder"]).state_dict()
    taken = {name for name in weights if name.startswith("image_encoder.")}
    assert taken and taken < set(weights)
    for name, tensor in state.items():
        assert torch.equal(tensor, weights[name] if name in taken else scratch[name]), name


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"pretrained_encoders": ["text_encoder"]}, "['text_encoder']"),
        ({"pretrained_encoders": []}, "is []"),
        ({"pretrained_encoders": ["image_encoder"], "pretrained": "mini.safetensors"}, "weights/mini.safetensors"),
    ],
)
def test_encoders_that_a_file_does_not_have_apart_are_refused(options, named):
    with pytest.raises(UserError, match="model.pretrained_encoders is.*image_encoder or fusion_encoder") as error:
        build(**{"pretrained": FILE, **options})
    assert named in str(error.value)
