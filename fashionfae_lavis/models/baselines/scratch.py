"""What lets a model class of LAVIS be built without a download, and be loaded like a model of ours."""

import logging
import re

import torch
from lavis.common.registry import registry
from omegaconf import DictConfig, OmegaConf

from fashionfae_lavis.checkpoints import load_weights, read_checkpoint
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.configuration import Configured, shipped
from fashionfae_lavis.models.encoders import ENCODERS
from fashionfae_lavis.models.initial_weights import load_tokenizer


class NewHead:
    """For models whose classifier pre-training does not give: the recognition task does not evaluate a new one."""

    @property
    def head_is_new(self) -> bool:
        return not self.is_whole


class Scratch(Configured):
    """To be put before a model class of LAVIS: the tokenizer is given, and `from_config` needs no hub.

    A subclass sets `ARCH`, the name it is registered under, and `PRETRAINED_MODEL_CONFIG_DICT`, and defines `build`.

    Attributes:
        is_whole: whether a checkpoint of this very model has been loaded, heads and all.
    """

    ARCH: str
    IMAGE_PREFIX = "visual_encoder."  # of the image encoder's weights
    is_whole = False

    def __init__(self, *args, tokenizer, **kwargs):
        self.tokenizer = tokenizer  # LAVIS's constructor asks for it
        super().__init__(*args, **kwargs)

    def init_tokenizer(self):
        return self.tokenizer

    @classmethod
    def build(cls, cfg: DictConfig, tokenizer) -> "Scratch":
        """The model with its random initial weights, from the configuration's `model`."""
        raise NotImplementedError

    @classmethod
    def from_pretrained(cls, model_type: str | None = None) -> "Scratch":
        """Model of a type ("mini"), or of a checkpoint's path; UserError if that is of another architecture."""
        cfg = cls.config_for(model_type).model
        if cfg.get("load_finetuned", False) and cfg.arch != cls.ARCH:
            raise UserError(
                f"{model_type} is of the model {cfg.arch}, not {cls.ARCH}: to start from its weights, set "
                "`model.pretrained` to this file."
            )
        return cls.from_config(cfg)

    @classmethod
    def from_config(cls, cfg) -> "Scratch":
        """Build from a configuration like configs/models/fashion_blip_mini.yaml, then load the weights it names.

        Raises:
            UserError: the vocabulary or a file it names cannot be read, or is of another model.
        """
        cfg = OmegaConf.create(cfg)
        model = cls.build(cfg, load_tokenizer(cfg.vocabulary))
        if cfg.get("load_finetuned", False):
            model.load_checkpoint(cfg.finetuned)
        elif cfg.get("load_pretrained", True) and cfg.get("pretrained"):
            model.start_from(shipped("weights", cfg.pretrained))
        return model

    def load_checkpoint(self, url_or_filename: str) -> None:
        """Load one of our checkpoints of this model; anything missing or of another shape is an error."""
        load_weights(self, read_checkpoint(url_or_filename)["model"], url_or_filename)
        self.is_whole = True

    def start_from(self, path: str) -> None:
        """Load a checkpoint of this model whole, or of its family (BLIP, ALBEF) the weights of the same names.

        Queues of past embeddings, and heads that the other has not, start anew. Of a file of mini/encoders the
        image encoder is taken, and all else is new.

        Raises:
            UserError: the file cannot be read, its weights do not fit, or it is of another family.
        """
        content = read_checkpoint(path)
        state, arch = content["model"], content.get("config", {}).get("model", {}).get("arch", self.ARCH)
        if arch != self.ARCH:
            state = self._image_encoder_of(state) if arch == ENCODERS else self._family_of(state, arch, path)
            own = self.state_dict()
            taken = {name: tensor for name, tensor in state.items() if name in own and "queue" not in name}
            parts = (dict.fromkeys(name.split(".")[0] for name in names) for names in (taken, own.keys() - taken))
            taken_parts, new_parts = (", ".join(sorted(names)) or "nothing" for names in parts)
            logging.info("%s is of the model %s: taken %s; new in %s.", path, arch, taken_parts, new_parts)
            state = own | taken
        load_weights(self, state, path)
        self.is_whole = arch == self.ARCH
        if arch == ENCODERS and hasattr(self, "copy_params"):
            self.copy_params()  # the momentum encoders start as copies

    def _image_encoder_of(self, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        mark = "image_encoder."
        found = {name.removeprefix(mark): tensor for name, tensor in state.items() if name.startswith(mark)}
        return {self.IMAGE_PREFIX + name: tensor for name, tensor in found.items()}

    def _family_of(self, state: dict[str, torch.Tensor], arch: str, path: str) -> dict[str, torch.Tensor]:
        found = registry.get_model_class(arch)
        family = {base for base in type(self).__mro__ if base.__name__ in ("BlipBase", "AlbefBase")}
        if found is None or not family & set(found.__mro__):
            raise UserError(
                f"{path} is of the model {arch}, which shares no weights with {self.ARCH}: set `model.arch` to it."
            )
        # ALBEF's pre-training model holds its BERT below a word head, the others bare.
        return {re.sub(r"^(text_encoder(_m)?)\.bert\.", r"\1.", name): tensor for name, tensor in state.items()}
