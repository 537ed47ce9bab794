"""Mixins that build a LAVIS model without a download and load it from checkpoints of this package."""

import logging
import re
from collections.abc import Callable
from typing import Any

from lavis.common.registry import registry
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from fashionfae_lavis.checkpoints import load_weights, read_checkpoint
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.building import open_checkpoint
from fashionfae_lavis.models.configuration import Configured, shipped
from fashionfae_lavis.models.encoders import ENCODERS
from fashionfae_lavis.models.guards import model_section
from fashionfae_lavis.models.saved_head import check_same_head
from fashionfae_lavis.models.saving import Savable
from fashionfae_lavis.models.vocabulary import carried, check_same_words, load_tokenizer


class NewHead:
    """Mixin for models with a classifier, which pre-training does not train. List it before `Scratch`.

    Attributes:
        classes: `model.classes`, the names of the classes; None if unknown.
        use_text: `model.use_text`; False reads the image with an empty text, `[CLS] [SEP]`, as FashionFAE does.
    """

    ARCH: str
    is_whole: bool
    classes: list[str] | None = None
    use_text = True

    @classmethod
    def build(cls, cfg: DictConfig, tokenizer: PreTrainedTokenizerBase) -> Any:
        model = super().build(cfg, tokenizer)  # type: ignore[misc]
        model.use_text, classes = cfg.get("use_text", True), cfg.get("classes")
        model.classes = None if classes is None else list(classes)
        return model

    def check_content(self, content: dict[str, Any], path: str) -> None:
        check_same_head(content, self, path, "model.pretrained")

    def visible(self, samples: dict[str, Any]) -> dict[str, Any]:
        """Returns the samples as the model reads them."""
        return samples if self.use_text else {**samples, "text_input": [""] * len(samples["image"])}

    @property
    def head_is_new(self) -> bool:
        """Whether the classifier still has its random weights."""
        return not self.is_whole


class Scratch(Savable, Configured, nn.Module):
    """Mixin that builds a LAVIS model from a configuration, without a download.

    List it before the LAVIS model class.

    Args:
        *args, **kwargs: arguments of the LAVIS model class.
        tokenizer: the model's tokenizer.

    Attributes:
        ARCH: name registered with LAVIS; set by the subclass.
        FAMILY: LAVIS's base classes whose models share weights with this one.
        IMAGE_PREFIX: prefix of the image encoder's weights.
        HAS_MOMENTUM: whether the model has momentum encoders, which `copy_params` initialises.
        is_whole: whether a checkpoint of this model has been loaded, heads included.
    """

    ARCH: str
    FAMILY: tuple[type, ...] = ()
    IMAGE_PREFIX = "visual_encoder."
    HAS_MOMENTUM = True
    copy_params: Callable[[], None]
    is_whole = False

    def __init__(self, *args: Any, tokenizer: Any, **kwargs: Any):
        self.tokenizer = tokenizer  # set first, because LAVIS's constructor calls `init_tokenizer`
        super().__init__(*args, **kwargs)

    def init_tokenizer(self) -> Any:
        """Returns the given tokenizer; LAVIS's class would download one."""
        return self.tokenizer

    @classmethod
    def build(cls, cfg: DictConfig, tokenizer: PreTrainedTokenizerBase) -> "Scratch":
        """Builds the model with random initial weights from the `model` section of a configuration."""
        raise NotImplementedError

    @classmethod
    def from_pretrained(cls, model_type: str | None = None) -> "Scratch":
        """Builds the model of a type ("mini"), of a checkpoint or of a saved model.

        Raises:
            UserError: the type is unknown, or the checkpoint cannot be read or holds another model.
        """
        settings = cls.config_for(model_type)
        cfg = settings.model
        if cfg.get("load_finetuned", False) and cfg.arch != cls.ARCH:
            raise UserError(
                f"{model_type} holds the model {cfg.arch}, not {cls.ARCH}: to start from its weights, set "
                "`model.pretrained` to this file."
            )
        return cls.from_config(cfg).built_from(settings)

    @classmethod
    def from_config(cls, cfg: DictConfig | dict[str, Any]) -> "Scratch":
        """Builds the model from a `model` section and loads the weights that the section names.

        Args:
            cfg: `model` section with the keys of the model's yaml, such as configs/models/fashion_blip_mini.yaml.

        Raises:
            UserError: the vocabulary or a checkpoint cannot be read or does not fit.
        """
        cfg = OmegaConf.create(cfg)
        if cfg.get("load_finetuned", False):
            model = open_checkpoint(cfg.finetuned, cfg.vocabulary, lambda tokenizer: cls.build(cfg, tokenizer))
            return model.built_from({"model": cfg})
        model = cls.build(cfg, load_tokenizer(cfg.vocabulary)).built_from({"model": cfg})
        if cfg.get("load_pretrained", True) and cfg.get("pretrained"):
            model.start_from(shipped("weights", cfg.pretrained))
        return model

    def check_content(self, content: dict[str, Any], path: str) -> None:
        """Checks the checkpoint that the model starts from; raises UserError if it does not fit."""

    def load_checkpoint(self, url_or_filename: str) -> None:
        """Loads a checkpoint of this model.

        Raises:
            UserError: the file cannot be read, or a weight is missing, unknown or of another shape.
        """
        self.load_content(read_checkpoint(url_or_filename), url_or_filename)

    def load_content(self, content: dict[str, Any], path: str) -> None:
        """Loads the content of a checkpoint of this model, as `load_checkpoint` does."""
        load_weights(self, content["model"], path)
        self.is_whole = True

    def carried_vocabulary(self) -> str:
        """Returns the vocabulary in the form that checkpoints carry."""
        return carried(self.word_pieces)

    @property
    def word_pieces(self) -> PreTrainedTokenizerBase:
        """The word-piece tokenizer of transformers."""
        return self.tokenizer

    def start_from(self, path: str) -> None:
        """Loads initial weights from a checkpoint.

        A checkpoint of this model is loaded whole. From another model of the family (BLIP, ALBEF), weights of the same
        name are loaded; queues of past embeddings and other heads stay random. From an encoder file, which
        `fashionfae make-mini-encoders` writes, only the image encoder is loaded.

        Raises:
            UserError: the file cannot be read, its weights do not fit, it holds a model of another family, or it was
                trained with another vocabulary.
        """
        content = read_checkpoint(path)
        self.check_content(content, path)
        state, arch = content["model"], model_section(content).get("arch", self.ARCH)
        if arch != ENCODERS:
            check_same_words(content, self.word_pieces, path)
        if arch != self.ARCH:
            state = self._image_encoder_of(state) if arch == ENCODERS else self._family_of(state, arch, path)
            new = self.state_dict()
            loaded = {name: tensor for name, tensor in state.items() if name in new and "queue" not in name}
            parts = ({name.split(".")[0] for name in names} for names in (loaded, new.keys() - loaded))
            loaded_parts, new_parts = (", ".join(sorted(names)) or "nothing" for names in parts)
            logging.info("Loaded %s from %s (model %s); new: %s.", loaded_parts, path, arch, new_parts)
            state = new | loaded
        load_weights(self, state, path)
        self.is_whole = arch == self.ARCH
        if arch == ENCODERS and self.HAS_MOMENTUM:
            self.copy_params()  # the momentum encoders start as copies

    def _image_encoder_of(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Selects and renames the image encoder of an encoder file."""
        prefix = "image_encoder."
        found = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        return {self.IMAGE_PREFIX + name: tensor for name, tensor in found.items()}

    def _family_of(self, state: dict[str, Tensor], arch: str, path: str) -> dict[str, Tensor]:
        """Selects and renames the weights shared with another model of the family."""
        found = registry.get_model_class(arch)
        if found is None or not issubclass(found, self.FAMILY):
            raise UserError(
                f"{path} holds the model {arch}, which shares no weights with {self.ARCH}: set `model.arch` to {arch}."
            )
        # ALBEF's pre-training model keeps its BERT under `bert.`, below a word head.
        return {re.sub(r"^(text_encoder(_m)?)\.bert\.", r"\1.", name): tensor for name, tensor in state.items()}
