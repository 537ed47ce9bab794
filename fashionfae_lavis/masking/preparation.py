"""Preparation of a training batch's texts and masks, which the data loader's workers do ahead of the model."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from fashionfae_lavis.masking.patch_masks import batch_block_masks
from fashionfae_lavis.masking.word_masks import mask_text, pad_masked
from fashionfae_lavis.text.word_pieces import Text, tokenize_texts


class MaskedTexts(NamedTuple):
    """Masked texts of a batch, each tensor (B, L); see `MaskedText` for their values."""

    input_ids: Tensor
    mask: Tensor
    labels: Tensor
    is_prompt: Tensor


class Prepared(NamedTuple):
    """What the losses of a batch read besides its pixels.

    Attributes:
        objectives: the objectives that it was prepared for.
        text: the texts.
        masked: the masked texts of MLM and AETP; None without them.
        patches: boolean (B, P), True where APIR masks a patch; None without it.
        rng: the generator after these draws. ITM draws its pairs from it.
    """

    objectives: tuple[str, ...]
    text: Text
    masked: MaskedTexts | None
    patches: Tensor | None
    rng: np.random.Generator


@dataclass(frozen=True)
class Preparation:
    """Tokenizes and masks batches as a model needs them. It holds no weights, so worker processes can have a copy.

    Attributes:
        tokenizer: word-piece tokenizer of transformers.
        max_length: length of the longest text in word pieces.
        grid: number of pooled patches on a side of the image.
        masked_patches: number of patches that APIR masks.
    """

    tokenizer: PreTrainedTokenizerBase
    max_length: int
    grid: int
    masked_patches: int

    def __call__(
        self,
        texts: Sequence[str],
        fields: Sequence[Mapping[str, str]],
        objectives: Collection[str],
        seed: Sequence[int] | int | None,
    ) -> Prepared:
        """Prepares a batch for some objectives.

        Args:
            texts: B texts.
            fields: the B products' texts by field name; read by MLM and AETP.
            objectives: names in OBJECTIVES.
            seed: seed of the masks; None draws one.
        """
        rng = np.random.default_rng(seed)
        text = Text(*tokenize_texts(texts, self.tokenizer, self.max_length))
        masked = patches = None
        if "mlm" in objectives or "aetp" in objectives:
            mlm, aetp = "mlm" in objectives, "aetp" in objectives
            rows = [mask_text(product, self.tokenizer, rng, self.max_length, mlm, aetp) for product in fields]
            masked = MaskedTexts(*pad_masked(rows, self.tokenizer))
        if "apir" in objectives:
            patches = torch.from_numpy(batch_block_masks(rng, len(texts), self.grid, self.masked_patches))
        return Prepared(tuple(objectives), text, masked, patches, rng)
