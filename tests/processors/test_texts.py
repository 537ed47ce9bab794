import numpy as np
import pytest
from lavis.common.registry import registry
from omegaconf import OmegaConf

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.processors.texts import FashionCaptionProcessor, FashionTextProcessor

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


def test_prompts_are_shuffled_on_request_by_the_seeded_generator():
    fields = {**FIELDS, "category": "COATS", "gender": "Men", "composition": "wool"}
    processor = FashionTextProcessor.from_config({"shuffle": True})

    def orders(seed):
        np.random.seed(seed)
        return [processor(fields) for _ in range(20)]

    assert orders(0) == orders(0) and len(set(orders(0))) > 5
    fixed = FashionTextProcessor()(fields)
    assert all(sorted(text.split()) == sorted(fixed.split()) for text in orders(0))
    assert all(text.split(" [SEP] ")[0] == fixed.split(" [SEP] ")[0] for text in orders(0))


@pytest.mark.parametrize("mode", ["description", "description+attributes", "recognition"])
def test_plain_text_is_a_description(mode):
    assert FashionTextProcessor(mode)("Red, V-neck dress!") == "the image description is red v neck dress"


def test_unknown_mode_is_an_error_at_once():
    with pytest.raises(UserError, match="Unknown text mode 'title'"):
        FashionTextProcessor("title")
    with pytest.raises(UserError, match="Unknown text mode 'title'"):
        FashionTextProcessor.from_config(OmegaConf.create({"mode": "title"}))


def test_a_caption_has_no_prompt():
    processor = registry.get_processor_class("fashionfae_caption").from_config(OmegaConf.create({}))
    assert isinstance(processor, FashionCaptionProcessor)
    assert processor("Is RED, not blue, and has a V-neck.") == "is red not blue and has a v neck"
