"""Building of LAVIS's own BLIP, ALBEF and CLIP from a checkpoint, without the downloads of their `from_config`."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lavis.common.registry import registry
from lavis.common.utils import get_abs_path
from lavis.models.albef_models import AlbefBase
from lavis.models.albef_models.albef_feature_extractor import AlbefFeatureExtractor
from lavis.models.albef_models.albef_pretrain import AlbefPretrain
from lavis.models.blip_models.blip import BlipBase
from lavis.models.blip_models.blip_pretrain import BlipPretrain
from lavis.models.clip_models.model import CLIP, build_model_from_openai_state_dict, create_model
from lavis.models.med import BertForMaskedLM, XBertEncoder, XBertLMHeadDecoder
from lavis.models.vit import VisionTransformerEncoder
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from transformers import BertConfig, PreTrainedTokenizerBase

from fashionfae_lavis.checkpoints import load_weights, read_checkpoint
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.configuration import Configured
from fashionfae_lavis.models.guards import SizeLimit, configuration_of, model_section
from fashionfae_lavis.models.vocabulary import from_carried

OPENAI = "openai"  # the weights of CLIP that need QuickGELU
BERT = "bert_config"  # section of a saved model: the content of the file `med_config_path`
FUSION_LAYER = 6  # of ALBEF's BERT, as in LAVIS
# Defaults of `from_config` in the classes whose `from_config` downloads weights.
BLIP_PRETRAIN = {"embed_dim": 256, "queue_size": 57600, "momentum": 0.995, "alpha": 0.4, "max_txt_len": 30}
ALBEF_PRETRAIN = {**BLIP_PRETRAIN, "queue_size": 65536, "mlm_mask_prob": 0.15, "temp": 0.07}
ALBEF_FEATURES = {"embed_dim": 256, "max_txt_len": 30}


def is_lavis_class(model_class: type | None) -> bool:
    """Returns whether a class is one of LAVIS's own BLIP, ALBEF or CLIP, not one of this package."""
    family = (BlipBase, AlbefBase, CLIP)
    return model_class is not None and issubclass(model_class, family) and not issubclass(model_class, Configured)


def open_lavis_model(path: str | Path, arch: str | None = None) -> Any:
    """Builds the model of a checkpoint and loads its weights.

    Nothing is downloaded, except BERT's vocabulary for a checkpoint of BLIP or ALBEF that carries none.

    Args:
        path: checkpoint of a run, or the weights of a saved model.
        arch: name of the model that it must hold; None for any.

    Raises:
        UserError: the file cannot be read, it holds another model, or its configuration and weights do not fit.
    """
    path, content = str(path), read_checkpoint(path)
    section, text = model_section(content), (content.get("config") or {}).get("vocabulary")
    model_class = registry.get_model_class(str(section.get("arch")))
    if model_class is None or not is_lavis_class(model_class):
        raise UserError(f"{path} holds the model {section.get('arch')}, which is none of LAVIS's BLIP, ALBEF and CLIP.")
    if arch not in (None, section["arch"]):
        raise UserError(f'{path} holds the model {section["arch"]}, not {arch}: load it as "{section["arch"]}".')
    tokenizer = _own_tokenizer(model_class, path) if text is None else from_carried(text, path)
    with configuration_of(path), SizeLimit(content["model"], path):
        model = _clip(section, content["model"]) if model_class is CLIP else _build(model_class, section, tokenizer)
    load_weights(model, content["model"], path)
    return model


def _own_tokenizer(model_class: Any, path: str) -> PreTrainedTokenizerBase | None:
    """Returns the tokenizer that LAVIS downloads for a class; None for CLIP, whose byte pairs are in LAVIS."""
    if not hasattr(model_class, "init_tokenizer"):
        return None
    try:
        tokenizer: PreTrainedTokenizerBase = model_class.init_tokenizer()
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} carries no vocabulary, and LAVIS's could not be downloaded: go online, or use a folder of "
            "`fashionfae publish`, which holds it."
        ) from error
    return tokenizer


def _clip(section: Mapping[str, Any], state: Mapping[str, Tensor]) -> CLIP:
    """Builds CLIP; OpenAI's has its sizes in the weights, and the others in a file of LAVIS."""
    if str(section.get("pretrained")).lower() == OPENAI:
        return build_model_from_openai_state_dict(dict(state)).float()
    return create_model(section["model_type"])


def _build(model_class: Any, section: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase | None) -> Any:
    """Builds BLIP or ALBEF with random weights."""
    offline = _offline(model_class, tokenizer)
    with _bert_file(section) as file:
        cfg = OmegaConf.create({**section, "med_config_path": file, "load_finetuned": False, "pretrained": None})
        berts = _berts(model_class, cfg)
        if berts is None:
            return offline.from_config(cfg)
        return offline(image_encoder=VisionTransformerEncoder.from_config(cfg), **berts)


def _offline(model_class: Any, tokenizer: PreTrainedTokenizerBase | None) -> Any:
    """Returns a subclass whose `from_config` loads no weights, and which uses the tokenizer."""

    def load_nothing(self: Any, cfg: Any) -> None:
        pass

    def init_tokenizer(cls: type) -> PreTrainedTokenizerBase:
        assert tokenizer is not None
        if issubclass(cls, BlipBase):  # [ENC], which marks a text to read with an image
            tokenizer.enc_token_id = tokenizer.additional_special_tokens_ids[0]
        return tokenizer

    changes = {"load_checkpoint_from_config": load_nothing, "init_tokenizer": classmethod(init_tokenizer)}
    return type(model_class.__name__, (model_class,), changes)


def _berts(model_class: Any, cfg: DictConfig) -> dict[str, Any] | None:
    """Returns the text encoder and the options of a class whose `from_config` downloads weights, None for others."""
    if issubclass(model_class, BlipPretrain):
        decoder = {"text_decoder": XBertLMHeadDecoder.from_config(cfg), "tie_enc_dec_weights": True}
        return {"text_encoder": XBertEncoder.from_config(cfg), **decoder, **_options(cfg, BLIP_PRETRAIN)}
    if not issubclass(model_class, AlbefPretrain | AlbefFeatureExtractor):
        return None
    config = BertConfig.from_json_file(cfg.med_config_path)
    config.fusion_layer = FUSION_LAYER
    defaults = ALBEF_PRETRAIN if issubclass(model_class, AlbefPretrain) else ALBEF_FEATURES
    return {"text_encoder": BertForMaskedLM(config), **_options(cfg, defaults)}


def _options(cfg: DictConfig, defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {key: cfg.get(key, value) for key, value in defaults.items()}


@contextmanager
def _bert_file(section: Mapping[str, Any]) -> Iterator[str]:
    """Yields the path of the BERT configuration that a section names or, in a saved model, holds."""
    if BERT not in section:
        yield str(get_abs_path(section["med_config_path"]))
        return
    with TemporaryDirectory() as folder:
        file = Path(folder) / "bert.json"
        file.write_text(json.dumps(section[BERT]), encoding="utf-8")
        yield str(file)
