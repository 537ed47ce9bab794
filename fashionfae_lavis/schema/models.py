"""The settings of `model` for each model of this package."""

from typing import Annotated

from annotated_types import Ge, Le, MinLen
from pydantic import Field

from fashionfae_lavis.schema.fields import (
    Count,
    CountOrZero,
    Decay,
    Fraction,
    Positive,
    PositiveOrZero,
    Section,
    Text,
    one_of,
)

Width = Annotated[int, Ge(1), Le(16_384)]
Depth = Annotated[int, Ge(1), Le(256)]
Length = Annotated[int, Ge(3), Le(65_536)]  # in word pieces, with [CLS] and [SEP]
ENCODERS = ("image_encoder", "fusion_encoder")
Side = Annotated[int, Ge(1), Le(4096)]  # in pixels


class ImageEncoder(Section):
    """`model.image_encoder`"""

    patch_size: Side
    """Side of a patch, in pixels."""
    stem: Annotated[list[Annotated[int, Ge(8), Le(16_384)]], MinLen(1)] | None = None
    """Channels of convolutions that replace the patch projection; each halves the side. null is a plain ViT."""
    width: Width
    """Width of the transformer."""
    depth: Depth
    """Layers."""
    heads: Depth
    """Attention heads of a layer."""
    pool: Side = 2
    """Side of the square of patches that are averaged into one token for fusion."""
    layer_norm_eps: Positive = 1e-12
    """Epsilon of the LayerNorms; 1e-6 in timm's ViT."""


class Bert(Section):
    """Sizes of a BERT, with the names of transformers' BertConfig"""

    hidden_size: Width
    """Width."""
    num_hidden_layers: Depth
    """Layers."""
    num_attention_heads: Depth
    """Attention heads of a layer."""
    intermediate_size: Annotated[int, Ge(1), Le(65_536)]
    """Width of the hidden layer of a feed-forward block."""
    max_position_embeddings: Length = 512
    """Positions; at least the length of the texts and the number of image tokens."""
    type_vocab_size: Annotated[int, Ge(1), Le(1024)] = 2
    """Token types."""
    hidden_act: Annotated[str, one_of(["gelu", "gelu_new", "relu", "silu"])] = "gelu"
    """Activation."""
    hidden_dropout_prob: Decay = 0.1
    """Dropout of the states."""
    attention_probs_dropout_prob: Decay = 0.1
    """Dropout of the attention."""
    initializer_range: Positive = 0.02
    """Standard deviation of the initial weights."""
    layer_norm_eps: Positive = 1e-12
    """Epsilon of the LayerNorms."""


class FusionEncoder(Bert):
    """`model.fusion_encoder`"""

    split: CountOrZero
    """Lower layers whose text states APIR reads."""


class TextEncoder(Bert):
    """`model.text_encoder` of BLIP"""


class AlbefTextEncoder(TextEncoder):
    """`model.text_encoder` of ALBEF"""

    fusion_layer: CountOrZero
    """Layers that read text alone; the later ones also read the image."""


class ClipTextEncoder(Section):
    """`model.text_encoder` of CLIP"""

    width: Width
    """Width."""
    heads: Depth
    """Attention heads of a layer."""
    layers: Depth
    """Layers."""


class Apir(Section):
    """`model.apir`"""

    masked_patches: Count = 8
    """Patches that APIR masks, of those that enter fusion."""
    token_scale: Positive = 1.0
    """Initial size of the promoted token."""


class TokenizerSizes(Section):
    """`model.image_tokenizer`, or `model` itself for `fashionfae_image_tokenizer`"""

    channels: Annotated[int, Ge(1), Le(4096)]
    """Channels of the first level."""
    multipliers: Annotated[list[Annotated[int, Ge(1), Le(64)]], MinLen(1)]
    """Multiple of `channels` at each level; each level but the last halves the side."""
    blocks: Annotated[int, Ge(1), Le(64)]
    """Residual blocks of a level."""
    codes: Annotated[int, Ge(2), Le(2**20)]
    """Entries of the codebook."""
    code_dim: Width
    """Width of an entry."""
    decoder: bool = True
    """Whether to build the decoder, which training needs."""
    commitment: PositiveOrZero = 0.25
    """Weight of the commitment loss."""
    weights: Text | None = None
    """Checkpoint of a trained image tokenizer: a file in the package or a path."""


class Model(Section):
    """Settings of every model"""

    arch: Text
    """The model, by its name in LAVIS."""
    model_type: Text
    """Its size: `mini`, `small` or `base`. Its yaml in `fashionfae_lavis/configs/models/` has the defaults below."""


class Pretrained(Model):
    """Weights and vocabulary"""

    load_pretrained: bool = True
    """Whether to load `pretrained`."""
    pretrained: Text | None = None
    """Checkpoint to start from: a file in the package or a path; null is random weights (FashionFAE: `bert`, `vit`)."""
    load_finetuned: bool = False
    """Whether to load `finetuned` instead of `pretrained`."""
    finetuned: Text | None = None
    """Checkpoint of exactly this model."""
    vocabulary: Text
    """Word pieces: a name in the package, a folder, or a hub id."""
    image_size: Side
    """Side of the images, in pixels."""
    image_encoder: ImageEncoder
    """Sizes of the image encoder."""
    num_classes: Annotated[int, Ge(1), Le(10**6)] | None = None
    """Classes of a recognition model, which the run takes from the data."""
    classes: list[str] | None = None
    """Names of the classes, which the run takes from the data."""
    use_text: bool = True
    """Whether a recognition model reads the text; false reads the image alone."""


class FashionFAE(Pretrained):
    """FashionFAE: `fashionfae`, `fashionfae_retrieval`, `fashionfae_composition`, `fashionfae_recognition`"""

    pretrained_encoders: (
        Annotated[list[Annotated[str, one_of(["image_encoder", "fusion_encoder"])]], MinLen(1)] | None
    ) = None
    """Encoders to load if `pretrained` is an encoder file; null is both."""
    bert: Text | None = None
    """BERT to start from without `pretrained`: a hub id or a folder; null is random weights."""
    vit: Text | None = None
    """ViT to start from without `pretrained`: a hub id, a folder, or a file of timm's; null is random weights."""
    max_length: Length
    """Length to which texts are cut, in word pieces."""
    grad_ckpt: bool = False
    """Recomputes activations: less memory, about a third more time."""
    fusion_encoder: FusionEncoder
    """Sizes of the fusion encoder."""
    apir: Apir = Field(default_factory=Apir)
    """Settings of APIR."""
    image_tokenizer: TokenizerSizes | None = None
    """Sizes and weights of the image tokenizer."""


class ImageTokenizer(Model, TokenizerSizes):
    """The image tokenizer alone: `fashionfae_image_tokenizer`"""


class Baseline(Pretrained):
    """Settings of all baselines"""

    max_txt_len: Length
    """Length to which texts are cut and padded, in word pieces."""
    embed_dim: Width
    """Width of the embeddings that are compared."""


class Momentum(Section):
    """Momentum contrast of BLIP and ALBEF"""

    queue_size: Count
    """Past embeddings to contrast with; a multiple of the batch size over all processes."""
    momentum: Fraction
    """Momentum of the momentum encoders."""
    alpha: Fraction
    """Weight of the momentum encoders' soft targets."""


class Blip(Baseline, Momentum):
    """BLIP: `fashion_blip` and `fashion_blip_*`"""

    text_encoder: TextEncoder
    """Sizes of the text encoder."""
    prompt: str = ""
    """Words before each caption."""


class Albef(Baseline, Momentum):
    """ALBEF: `fashion_albef` and `fashion_albef_*`"""

    text_encoder: AlbefTextEncoder
    """Sizes of the text encoder."""
    temp: Positive
    """Initial temperature of the contrastive loss."""
    mlm_mask_prob: Fraction
    """Share of the word pieces that are masked."""


class Clip(Baseline):
    """CLIP: `fashion_clip`"""

    text_encoder: ClipTextEncoder
    """Sizes of the text encoder."""


MODELS: dict[str, type[Model]] = {
    "fashionfae": FashionFAE,
    "fashionfae_retrieval": FashionFAE,
    "fashionfae_composition": FashionFAE,
    "fashionfae_recognition": FashionFAE,
    "fashionfae_image_tokenizer": ImageTokenizer,
    "fashion_blip": Blip,
    "fashion_blip_retrieval": Blip,
    "fashion_blip_caption": Blip,
    "fashion_blip_recognition": Blip,
    "fashion_albef": Albef,
    "fashion_albef_retrieval": Albef,
    "fashion_albef_recognition": Albef,
    "fashion_clip": Clip,
}

# Keys that LAVIS's own models read besides those in their yaml files.
# fmt: off
OF_LAVIS = (
    "alpha", "apply_lemmatizer", "arch", "classes", "cross_attention_freq", "drop_path_rate", "embed_dim",
    "finetuned", "freeze_vit", "hidden_size", "image_size", "k_test", "load_finetuned", "load_pretrained",
    "max_txt_len", "med_config_path", "mlm_mask_prob", "model_type", "momentum", "negative_all_rank",
    "num_classes", "num_query_token", "opt_model", "pool_size", "precision", "pretrained", "prompt",
    "queue_size", "t5_config_path", "t5_model", "temp", "use_distill", "use_grad_checkpoint", "vision_cfg",
    "vit_ckpt_layer", "vit_drop_path_rate", "vit_grad_ckpt", "vit_layer_norm_epsilon", "vit_model",
    "vit_precision", "vit_type"
)
# fmt: on
