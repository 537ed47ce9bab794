"""The base class of the FashionFAE models: two encoders, built from a configuration and loaded from checkpoints."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from lavis.common.registry import registry
from lavis.models.base_model import BaseModel
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from transformers import BertConfig, PreTrainedTokenizerBase

from fashionfae_lavis.checkpoints import load_weights, read_checkpoint
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.building import open_checkpoint
from fashionfae_lavis.models.configuration import Configured, model_config_path, shipped
from fashionfae_lavis.models.fusion_encoder import FusionEncoder
from fashionfae_lavis.models.guards import model_section
from fashionfae_lavis.models.image_encoder import ImageEncoder
from fashionfae_lavis.models.initial_weights import load_hub_weights
from fashionfae_lavis.models.saving import Savable
from fashionfae_lavis.models.vocabulary import carried, load_tokenizer, vocabulary_of
from fashionfae_lavis.models.word_transfer import transfer_words
from fashionfae_lavis.text.word_pieces import Text, tokenize_texts

# `fashionfae make-mini-encoders` writes an encoder file, whose configuration names ENCODERS as the model. It lacks the
# projection of image tokens into the text encoder, which pre-training learns.
ENCODERS = "encoders"
PARTS = ("image_encoder", "fusion_encoder")
PROJECTION = "fusion_encoder.visual_embeddings.projection"


class FashionEncoders(Savable, Configured, BaseModel):
    """Two encoders without a head.

    Args:
        image_encoder, fusion_encoder: the encoders, built by `build`.
        tokenizer: word-piece tokenizer of transformers. Without one the model cannot tokenize texts.
        max_length: length of the longest text in word pieces.

    Attributes:
        ARCH: name registered with LAVIS; set by the subclass.
        SHARED: parts that the model can load from a checkpoint of another FashionFAE model.
    """

    ARCH: str
    SHARED: tuple[str, ...] = PARTS
    # All models share the sizes, vocabulary and image processing of pre-training.
    PRETRAINED_MODEL_CONFIG_DICT = {name: model_config_path(f"fashionfae_{name}") for name in ("mini", "small", "base")}

    def __init__(
        self,
        image_encoder: ImageEncoder,
        fusion_encoder: FusionEncoder,
        tokenizer: PreTrainedTokenizerBase | None,
        max_length: int,
    ):
        super().__init__()
        self.image_encoder = image_encoder
        self.fusion_encoder = fusion_encoder
        self.tokenizer: Any = tokenizer
        self.max_length = max_length

    @classmethod
    def from_pretrained(cls, model_type: str | None = None) -> "FashionEncoders":
        """Builds the model of a type ("mini", "small", "base"), or of a checkpoint or saved model in its architecture.

        `fashionfae` opens the checkpoints of all FashionFAE models.

        Raises:
            UserError: the type is unknown, or the checkpoint cannot be read or holds another model.
        """
        settings = cls.config_for(model_type)
        cfg = settings.model
        if not cfg.get("load_finetuned", False):
            return cls.from_config(cfg).built_from(settings)
        found = registry.get_model_class(cfg.arch)
        if found is cls or (cls.ARCH == "fashionfae" and found and issubclass(found, FashionEncoders)):
            return found.from_config(cfg).built_from(settings)
        raise UserError(
            f"{model_type} holds the model {cfg.arch}, not {cls.ARCH}: to start from its weights, set "
            "`model.pretrained` to this file, or `model.image_tokenizer.weights` if it is an image tokenizer."
        )

    @classmethod
    def from_config(cls, cfg: DictConfig | dict[str, Any]) -> "FashionEncoders":
        """Builds the model from a `model` section and loads the weights that the section names.

        Args:
            cfg: `model` section with the keys of configs/models/fashionfae_mini.yaml.

        Raises:
            UserError: the hub or a file cannot be read, or its weights do not fit.
        """
        cfg = OmegaConf.create(cfg)

        def build(tokenizer: PreTrainedTokenizerBase) -> "FashionEncoders":
            return cls.build(cfg, tokenizer, len(tokenizer))

        if cfg.get("load_finetuned", False):
            return open_checkpoint(cfg.finetuned, cfg.vocabulary, build).built_from({"model": cfg})
        model = build(load_tokenizer(cfg.vocabulary)).built_from({"model": cfg})
        if cfg.get("load_pretrained", True):
            if cfg.get("pretrained"):
                model.start_from(shipped("weights", cfg.pretrained), cfg.get("pretrained_encoders"))
            else:
                load_hub_weights(model, cfg.get("bert"), cfg.get("vit"))
        return model

    @classmethod
    def build(cls, cfg: DictConfig, tokenizer: PreTrainedTokenizerBase | None, vocab_size: int) -> "FashionEncoders":
        """Builds the model with random initial weights.

        Raises:
            UserError: the widths of the two encoders differ, or `max_length` has no room in the positions.
        """
        grad_ckpt = cfg.get("grad_ckpt", False)
        image = ImageEncoder(image_size=cfg.image_size, grad_ckpt=grad_ckpt, **cfg.image_encoder)
        sizes: dict[str, Any] = dict(cfg.fusion_encoder)
        split = sizes.pop("split")
        bert_config = BertConfig(vocab_size=vocab_size, **sizes)
        if not isinstance(cfg.max_length, int) or not 3 <= cfg.max_length <= bert_config.max_position_embeddings:
            raise UserError(
                f"model.max_length is {cfg.max_length}, but must be from 3 to model.fusion_encoder."
                f"max_position_embeddings ({bert_config.max_position_embeddings})."
            )
        fusion = FusionEncoder(bert_config, image.embed_dim, split, grad_ckpt)
        if bert_config.hidden_size != image.embed_dim:
            raise UserError(
                f"model.image_encoder.width ({image.embed_dim}) and model.fusion_encoder.hidden_size "
                f"({bert_config.hidden_size}) must be equal, because the promoted token replaces image tokens."
            )
        return cls(image, fusion, tokenizer=tokenizer, max_length=cfg.max_length, **cls.heads_from_config(cfg))

    @classmethod
    def heads_from_config(cls, cfg: DictConfig) -> dict[str, Any]:
        """Returns the constructor's remaining arguments, read from the `model` section."""
        return {}

    def load_checkpoint(self, url_or_filename: str) -> None:
        """Loads a checkpoint of this model (.pth or .safetensors).

        Raises:
            UserError: the file cannot be read, or a weight is missing, unknown or of another shape.
        """
        self.load_content(read_checkpoint(url_or_filename), url_or_filename)

    def load_content(self, content: dict[str, Any], path: str) -> None:
        """Loads the content of a checkpoint of this model, as `load_checkpoint` does."""
        load_weights(self, content["model"], path)

    def carried_vocabulary(self) -> str:
        """Returns the vocabulary in the form that checkpoints carry."""
        return carried(self.tokenizer)

    def start_from(self, path: str, encoders: Sequence[str] | None = None) -> None:
        """Loads initial weights: all weights of this model's checkpoint, or the `SHARED` parts of another model's.

        The checkpoint may have another vocabulary; see word_transfer.py.

        Args:
            path: the checkpoint, or an encoder file from `fashionfae make-mini-encoders`.
            encoders: encoders to load from an encoder file (default both). Other parts keep their random weights.

        Raises:
            UserError: the file cannot be read, its weights do not fit, it holds another model that shares no part,
                or `encoders` is empty or the file is not an encoder file.
        """
        self.start_from_content(read_checkpoint(path), path, encoders)

    def start_from_content(self, content: dict[str, Any], path: str, encoders: Sequence[str] | None) -> None:
        """Loads initial weights from the content of a checkpoint, as `start_from` does."""
        state, arch = content["model"], model_section(content).get("arch", self.ARCH)
        if encoders is not None and (arch != ENCODERS or not encoders or set(encoders) - set(PARTS)):
            raise UserError(
                f"model.pretrained_encoders is {encoders}, but must be null, or a list of {' or '.join(PARTS)} if "
                f"model.pretrained ({path}) is an encoder file such as mini_encoders.safetensors."
            )
        state = self._with_own_words(state, content, path)
        if arch != self.ARCH:
            shared = tuple(encoders or PARTS) if arch == ENCODERS else self.SHARED
            if not shared:
                raise UserError(f"{path} holds the model {arch}, not {self.ARCH}: set `model.arch` to {arch}.")
            left_out = PROJECTION if arch == ENCODERS else ()

            def is_loaded(name: str) -> bool:
                return name.split(".")[0] in shared and not name.startswith(left_out)

            state = {name: tensor for name, tensor in state.items() if is_loaded(name)}
            new = {name: tensor for name, tensor in self.state_dict().items() if not is_loaded(name)}
            parts = (PROJECTION if name.startswith(left_out) else name.split(".")[0] for name in new)
            new_parts = ", ".join(dict.fromkeys(parts)) or "nothing"
            logging.info("Loaded %s from %s (model %s); new: %s.", ", ".join(shared), path, arch, new_parts)
            state |= new
        load_weights(self, state, path)

    def _with_own_words(self, state: dict[str, Tensor], content: dict[str, Any], path: str) -> dict[str, Tensor]:
        """Rewrites the word tables of a state dict that was trained with another vocabulary."""
        theirs = vocabulary_of(content, path) if self.tokenizer else None
        if theirs is None or theirs.get_vocab() == self.tokenizer.get_vocab():
            return state
        state, words = transfer_words(state, self.state_dict(), theirs, self.tokenizer)
        new = len(words.rows) - words.shared - words.composed
        logging.info(
            "%s has another vocabulary: of %d word pieces, %d keep their weights, %d start from shorter pieces and %d "
            "from random weights.",
            path,
            len(words.rows),
            words.shared,
            words.composed,
            new,
        )
        return state

    @property
    def word_pieces(self) -> PreTrainedTokenizerBase:
        """The word-piece tokenizer of transformers."""
        return self.tokenizer

    @property
    def device(self) -> torch.device:
        """The device of the first weight. LAVIS's property lists all weights for it, which takes 200 times as long."""
        return next(self.parameters()).device

    @property
    def image_size(self) -> int:
        """Side of the images in pixels."""
        return self.image_encoder.image_size

    def fusion_tokens(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, S, S) to the pooled tokens that enter fusion (B, 1 + pooled_grid^2, D)."""
        return self.image_encoder.pool_tokens(self.image_encoder(images))

    def tokenize(self, texts: list[str]) -> Text:
        """Tokenizes texts and pads them to the longest, on the model's device; a single string is a batch of one.

        Raises:
            UserError: there is no text, or an entry is not a string.
        """
        return Text(*(t.to(self.device) for t in tokenize_texts(texts, self.tokenizer, self.max_length)))
