import pytest
from lavis.common.registry import registry
from omegaconf import OmegaConf

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.processors.texts import FashionTextProcessor

FIELDS = {"title": "Wool Coat", "description": "Long-sleeved.", "season": "SS2017"}


def test_default_mode_has_the_attribute_prompts():
    text = "the image description is wool coat long sleeved [SEP] the image season is spring summer 2017"
    assert FashionTextProcessor()(FIELDS) == text
    assert FashionTextProcessor.from_config()(FIELDS) == text


def test_mode_from_the_configuration():
    processor = registry.get_processor_class("fashionfae_text").from_config(
        OmegaConf.create({"name": "fashionfae_text", "mode": "description"})
    )
    assert processor(FIELDS) == "the image description is wool coat long sleeved"
    assert FashionTextProcessor("recognition")({**FIELDS, "category": "COATS"}).endswith(
        "[SEP] the image title is wool coat the image season is spring summer 2017"
    )


@pytest.mark.parametrize("mode", ["description", "description+attributes", "recognition"])
def test_plain_text_is_a_description(mode):
    assert FashionTextProcessor(mode)("Red, V-neck dress!") == "the image description is red v neck dress"


def test_unknown_mode_is_an_error_at_once():
    with pytest.raises(UserError, match="unknown text mode 'title'"):
        FashionTextProcessor("title")
