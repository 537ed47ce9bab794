"""What every model of the family has: the image encoder, the fusion encoder, and how they are configured and loaded."""

import logging
from collections.abc import Sequence
from contextlib import contextmanager

from lavis.common.registry import registry
from lavis.models.base_model import BaseModel
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from transformers import BertConfig

from fashionfae_lavis.checkpoints import load_weights, read_checkpoint
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.configuration import Configured, model_config_path, shipped
from fashionfae_lavis.models.fusion_encoder import FusionEncoder
from fashionfae_lavis.models.image_encoder import ImageEncoder
from fashionfae_lavis.models.initial_weights import load_hub_weights, load_tokenizer
from fashionfae_lavis.text.word_pieces import Text, tokenize_texts

# What the file of mini/encoders calls itself, where a checkpoint names its model, and what it lacks: how image
# tokens enter the text encoder is for pre-training to learn.
ENCODERS = "encoders"
PARTS = ("image_encoder", "fusion_encoder")
BETWEEN = "fusion_encoder.visual_embeddings.projection"


class FashionEncoders(Configured, BaseModel):
    """Base class: the two encoders (METHOD 2), without a head.

    A subclass sets `ARCH`, the name it is registered under, and `SHARED`, the parts it takes from the checkpoint of
    another model of the family to start from.

    Args:
        image_encoder, fusion_encoder: the parts, built by `build`.
        tokenizer: word-piece tokenizer of transformers.
        max_length: longest text in word pieces.
    """

    ARCH: str
    SHARED: tuple[str, ...] = PARTS
    # Sizes, vocabulary and image processing are those of pre-training, so the models share its files.
    PRETRAINED_MODEL_CONFIG_DICT = {name: model_config_path(f"fashionfae_{name}") for name in ("mini", "base")}

    def __init__(self, image_encoder: ImageEncoder, fusion_encoder: FusionEncoder, tokenizer, max_length: int):
        super().__init__()
        self.image_encoder = image_encoder
        self.fusion_encoder = fusion_encoder
        self.tokenizer = tokenizer
        self.max_length = max_length

    @classmethod
    def from_pretrained(cls, model_type: str | None = None) -> "FashionEncoders":
        """Model of a type ("mini", "base"), or of a checkpoint's path.

        The architecture comes from the checkpoint: `fashionfae` stands for the whole family and opens any of them.

        Raises:
            UserError: the checkpoint is of another architecture than the one asked for.
        """
        cfg = cls.config_for(model_type).model
        if not cfg.get("load_finetuned", False):
            return cls.from_config(cfg)
        found = registry.get_model_class(cfg.arch)
        if found is cls or (cls.ARCH == "fashionfae" and found and issubclass(found, FashionEncoders)):
            return found.from_config(cfg)
        raise UserError(
            f"{model_type} is of the model {cfg.arch}, not {cls.ARCH}; to start from its weights, set "
            "`model.pretrained` (of an image tokenizer: `model.image_tokenizer.weights`) to this file."
        )

    @classmethod
    def from_config(cls, cfg) -> "FashionEncoders":
        """Build from a configuration like configs/models/fashionfae_mini.yaml, then load the weights it names.

        Raises:
            UserError: the hub or a file it names cannot be read.
        """
        cfg = OmegaConf.create(cfg)
        tokenizer = load_tokenizer(cfg.vocabulary)
        model = cls.build(cfg, tokenizer, len(tokenizer))
        if cfg.get("load_finetuned", False):
            model.load_checkpoint(cfg.finetuned)
        elif cfg.get("load_pretrained", True):
            if cfg.get("pretrained"):
                model.start_from(shipped("weights", cfg.pretrained), cfg.get("pretrained_encoders"))
            else:
                load_hub_weights(model, cfg.bert, cfg.vit)
        return model

    @classmethod
    def build(cls, cfg: DictConfig, tokenizer, vocab_size: int) -> "FashionEncoders":
        """The model with its random initial weights; it reads texts only with a tokenizer (else None)."""
        grad_ckpt = cfg.get("grad_ckpt", False)
        image = ImageEncoder(image_size=cfg.image_size, grad_ckpt=grad_ckpt, **cfg.image_encoder)
        sizes = OmegaConf.to_container(cfg.fusion_encoder)
        split = sizes.pop("split")
        bert_config = BertConfig(vocab_size=vocab_size, **sizes)
        fusion = FusionEncoder(bert_config, image.embed_dim, split, grad_ckpt)
        if bert_config.hidden_size != image.embed_dim:
            raise UserError(
                f"model.image_encoder.width ({image.embed_dim}) and model.fusion_encoder.hidden_size "
                f"({bert_config.hidden_size}) must be equal: the promoted token takes the place of image tokens."
            )
        return cls(image, fusion, tokenizer=tokenizer, max_length=cfg.max_length, **cls.heads_from_config(cfg))

    @classmethod
    def heads_from_config(cls, cfg: DictConfig) -> dict:
        """Further arguments of the constructor, from the configuration."""
        return {}

    def load_checkpoint(self, url_or_filename: str) -> None:
        """Load one of our checkpoints (.pth or .safetensors); anything missing or of another shape is an error."""
        load_weights(self, read_checkpoint(url_or_filename)["model"], url_or_filename)

    def start_from(self, path: str, encoders: Sequence[str] | None = None) -> None:
        """Load a checkpoint of this model whole, or of another model of the family the parts named in `SHARED`.

        Of a file of mini/encoders the encoders are taken, or those of them that `encoders` names; the projection
        between them and all else is new.

        Raises:
            UserError: the file cannot be read, its weights do not fit, or it is of another model and none is shared;
                or `encoders` names none, or is given for another file.
        """
        content = read_checkpoint(path)
        state, arch = content["model"], content.get("config", {}).get("model", {}).get("arch", self.ARCH)
        if encoders is not None and (arch != ENCODERS or not encoders or set(encoders) - set(PARTS)):
            raise UserError(
                f"model.pretrained_encoders is {encoders}, but must be null, or a list of {' or '.join(PARTS)} from a "
                f"file such as mini_encoders.safetensors; model.pretrained is {path}."
            )
        if arch != self.ARCH:
            shared = tuple(encoders or PARTS) if arch == ENCODERS else self.SHARED
            if not shared:
                raise UserError(f"{path} is of the model {arch}, not {self.ARCH}: set `model.arch` to it.")
            left_out = BETWEEN if arch == ENCODERS else ()

            def taken(name: str) -> bool:
                return name.split(".")[0] in shared and not name.startswith(left_out)

            state = {name: tensor for name, tensor in state.items() if taken(name)}
            own = {name: tensor for name, tensor in self.state_dict().items() if not taken(name)}
            parts = (BETWEEN if name.startswith(left_out) else name.split(".")[0] for name in own)
            new = ", ".join(dict.fromkeys(parts)) or "nothing"
            logging.info("%s is of the model %s: %s taken, %s new.", path, arch, ", ".join(shared), new)
            state |= own
        load_weights(self, state, path)

    @contextmanager
    def without_dropout(self):
        """Evaluation mode for the length of a `with`."""
        training = self.training
        self.eval()
        try:
            yield
        finally:
            self.train(training)

    def fusion_tokens(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) -> the pooled tokens that enter fusion (B, 1 + (grid/pool)^2, D)."""
        return self.image_encoder.pool_tokens(self.image_encoder(images))

    def tokenize(self, texts: list[str]) -> Text:
        """Texts -> ids and mask (B, L) on the model's device, padded to the longest of them."""
        return Text(*(t.to(self.device) for t in tokenize_texts(texts, self.tokenizer, self.max_length)))
