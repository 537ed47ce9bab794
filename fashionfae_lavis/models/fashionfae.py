"""FashionFAE (arXiv 2412.19997): two encoders, global embeddings and the heads of the five objectives.

The model runs the network; `objectives/` computes the losses from what it returns.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lavis.common.registry import registry
from omegaconf import DictConfig
from torch import Tensor, nn
from transformers import BertConfig, PreTrainedTokenizerBase
from transformers.models.bert.modeling_bert import BertPredictionHeadTransform

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.masking.preparation import MaskedTexts, Preparation, Prepared
from fashionfae_lavis.models.attribute_promotion import AttributePromotion
from fashionfae_lavis.models.evaluation_mode import without_dropout
from fashionfae_lavis.models.fusion_encoder import CLS, FusionEncoder
from fashionfae_lavis.models.image_encoder import ImageEncoder
from fashionfae_lavis.models.image_tokenizer import ImageTokenizer
from fashionfae_lavis.models.inputs import check_rows, value_of
from fashionfae_lavis.models.retrieval import FashionRetrieval
from fashionfae_lavis.objectives import OBJECTIVES
from fashionfae_lavis.objectives.apir import apir_loss
from fashionfae_lavis.objectives.itm import draw_pairs, itm_loss
from fashionfae_lavis.objectives.text_prediction import text_prediction_loss
from fashionfae_lavis.text.word_pieces import Text


class WordHead(nn.Module):
    """BERT's masked-word head. Its decoder, the word embedding table, is an argument of `forward` and so saved once."""

    def __init__(self, config: BertConfig):
        super().__init__()
        self.transform = BertPredictionHeadTransform(config)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, states: Tensor, word_embeddings: Tensor) -> Tensor:
        """Maps states (P, D) to vocabulary logits (P, V)."""
        return F.linear(self.transform(states), word_embeddings, self.bias)


@registry.register_model("fashionfae")
class FashionFAE(FashionRetrieval):
    """The pre-training model: both encoders, the image tokenizer, and a head for each objective.

    Args:
        image_encoder, fusion_encoder, image_tokenizer: the parts, built by `build`.
        tokenizer: word-piece tokenizer of transformers.
        max_length: length of the longest text in word pieces.
        masked_patches: number of patches that APIR masks (8 of 49 in the paper).
        token_scale: initial weight of the promotion LayerNorm, which sets the initial size of the promoted token.

    Raises:
        UserError: `masked_patches` is not between 1 and the number of pooled patches.
    """

    ARCH = "fashionfae"
    SHARED = ()  # loaded whole or not at all, because other models lack its heads

    def __init__(
        self,
        image_encoder: ImageEncoder,
        fusion_encoder: FusionEncoder,
        image_tokenizer: ImageTokenizer,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        masked_patches: int = 8,
        token_scale: float = 1.0,
    ):
        super().__init__(image_encoder, fusion_encoder, tokenizer, max_length)
        config = fusion_encoder.config
        patches = image_encoder.pooled_grid**2
        if not 0 < masked_patches <= patches:
            raise UserError(f"`model.apir.masked_patches` is {masked_patches}, but must be from 1 to {patches}.")
        self.masked_patches = masked_patches
        self.preparation = Preparation(tokenizer, max_length, image_encoder.pooled_grid, masked_patches)
        self.itm_head = nn.Linear(config.hidden_size, 2)
        self.mlm_head = WordHead(config)
        self.promotion = AttributePromotion(config.hidden_size)
        self.apir_head = nn.Sequential(
            BertPredictionHeadTransform(config), nn.Linear(config.hidden_size, image_tokenizer.num_codes)
        )
        for head in (self.itm_head, self.mlm_head, self.promotion, self.apir_head):
            head.apply(fusion_encoder._init_weights)
        nn.init.constant_(self.promotion.layer_norm.weight, token_scale)
        self.image_tokenizer = image_tokenizer.requires_grad_(False)
        self.image_tokenizer.eval()

    @classmethod
    def heads_from_config(cls, cfg: DictConfig) -> dict[str, Any]:
        return {"image_tokenizer": ImageTokenizer.from_config(cfg.image_tokenizer), **cfg.get("apir", {})}

    def train(self, mode: bool = True) -> "FashionFAE":
        """Sets the training mode, except that the image tokenizer, a fixed target, stays in evaluation mode."""
        super().train(mode)
        self.image_tokenizer.eval()
        return self

    def forward(self, samples: dict[str, Any]) -> dict[str, Tensor]:
        """Computes the losses of one batch.

        Args:
            samples: "image" (B, 3, S, S), "text_input" (B strings), "fields" (B dicts, for MLM and AETP), and
                optionally "image_2" (B, 3, S, S) (second views), "product_id" (B,), "objectives" (names, default all
                five), "mask_seed" (integers that fix masks and replacements), "prepared" (what `preparation` made of
                these texts, fields, objectives and mask_seed; it is then read in their place).

        Returns:
            The total "loss"; "loss_<objective>" and "acc_<objective>" (a share in 0..1) of each objective; and the
            consistency terms "loss_text_consistency" and "loss_image_consistency".

        Raises:
            UserError: a key is missing or does not fit, or an objective is unknown.
        """
        images, texts = self._pairs(samples)
        names = _known_objectives(samples.get("objectives", OBJECTIVES))
        if set(names) == {"itc"}:
            return super().forward(samples)
        tokens = self.image_encoder(images)
        prepared = samples.get("prepared")
        if prepared is None or set(prepared.objectives) != set(names):
            prepared = self._prepare(samples, texts, names)
        text = prepared.text.to(self.device)
        steps, embeddings = [], None
        if "itc" in names:
            embeddings = self.image_embedding(tokens), self._embed_texts(text)
            steps.append(self._itc(*embeddings, self._second_view(samples, len(images))))
        if "itm" in names:
            product_id = samples.get("product_id", torch.arange(len(images)))
            check_rows(product_id, "product_id", len(images))
            steps.append(self._itm(tokens, text, torch.as_tensor(product_id), prepared.rng, embeddings))
        if prepared.masked is not None:
            steps.append(self._text_prediction(tokens, prepared.masked, names))
        if prepared.patches is not None:
            steps.append(self._apir(images, tokens, text, prepared.patches.to(self.device)))
        merged = {name: value for step in steps for name, value in step.items()}
        merged["loss"] = sum((step["loss"] for step in steps), start=tokens.new_zeros((), dtype=torch.float32))
        return merged

    def _prepare(self, samples: dict[str, Any], texts: list[str], names: Sequence[str]) -> Prepared:
        fields = []
        if "mlm" in names or "aetp" in names:
            fields = value_of(samples, "fields", "MLM or AETP")
            check_rows(fields, "fields", len(texts))
        return self.preparation(texts, fields, names, samples.get("mask_seed"))

    def _itm(
        self,
        tokens: Tensor,
        text: Text,
        product_id: Tensor,
        rng: np.random.Generator,
        embeddings: tuple[Tensor, Tensor] | None,
    ) -> dict[str, Tensor]:
        """Computes L_ITM. `embeddings` (B, D) choose the hard negatives; None computes them without dropout."""
        with torch.no_grad():
            if embeddings is None:
                with without_dropout(self):
                    embeddings = self.image_embedding(tokens), self.text_embedding(text)
            similarity = embeddings[0] @ embeddings[1].T
        text_id = torch.unique(text.input_ids, dim=0, return_inverse=True)[1]
        pairs = draw_pairs(similarity.float(), product_id.to(tokens.device), rng, text_id)
        logits = self.match_logits(self.image_encoder.pool_tokens(tokens), text.rows(pairs.text))
        output = itm_loss(logits, pairs.match)
        return {"loss": output.loss, "loss_itm": output.loss, "acc_itm": output.accuracy}

    def _text_prediction(self, tokens: Tensor, masked: MaskedTexts, names: Sequence[str]) -> dict[str, Tensor]:
        input_ids, mask, labels, is_prompt = (t.to(self.device, non_blocking=True) for t in masked)
        labelled = labels >= 0
        pooled = self.image_encoder.pool_tokens(tokens)
        logits, joint, clean = self.read_masked_text(pooled, Text(input_ids, mask), labels)
        output = text_prediction_loss(logits, labels[labelled], is_prompt[labelled], joint, clean)._asdict()
        # An objective that is not trained has no labels, so its zeros are not reported.
        unused = {"mlm", "aetp"} - set(names)
        return {name: value for name, value in output.items() if name.split("_")[-1] not in unused}

    def _apir(self, images: Tensor, tokens: Tensor, text: Text, patch_mask: Tensor) -> dict[str, Tensor]:
        pooled = self.image_encoder.pool_tokens(tokens)
        codes = self.image_tokenizer.encode(images)[patch_mask]
        logits, clean, reconstructed = self.read_masked_image(pooled, text, patch_mask)
        return apir_loss(logits, codes, clean, reconstructed)._asdict()

    def match_logits(self, image_tokens: Tensor, text: Text) -> Tensor:
        """Scores pairs of pooled image tokens (B, N, D) and texts; returns logits (B, 2) of no match and match."""
        joint = self.fusion_encoder.encode_joint(text, image_tokens, wanted=CLS)
        return self.itm_head(self.fusion_encoder.pooler(joint)).float()

    def predict_words(self, image_tokens: Tensor, text: Text, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Reads texts with their images and predicts the word pieces at the given positions.

        Args:
            image_tokens: pooled tokens (B, N, D).
            text: B texts of length L.
            positions: boolean (B, L), True where a word piece is predicted.

        Returns:
            Vocabulary logits (P, V) at the P positions in row-major order, and the text states (B, L, D).
        """
        states = self.fusion_encoder.encode_joint(text, image_tokens, wanted=slice(positions.shape[1]))
        return self.mlm_head(states[positions], self.fusion_encoder.embeddings.word_embeddings.weight), states

    def read_masked_text(self, image_tokens: Tensor, text: Text, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Computes the inputs of the text-prediction loss.

        Args:
            image_tokens: pooled tokens (B, N, D).
            text: B masked texts of length L.
            labels: (B, L), the original word piece at positions to predict, -100 elsewhere.

        Returns:
            Vocabulary logits (P, V) at the P labelled positions; embeddings (B, D) of the masked texts read with their
            images; and embeddings (B, D) of the clean texts alone.
        """
        labelled = labels >= 0
        logits, states = self.predict_words(image_tokens, text, labelled)
        joint = self.scaled(self.fusion_encoder.masked_mean(states, text.mask))
        clean = text._replace(input_ids=torch.where(labelled, labels, text.input_ids))
        return logits, joint, self.text_embedding(clean)

    def reconstruct(self, image_tokens: Tensor, text: Text, patch_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Replaces the masked patches and [CLS] by the promoted token and runs the upper layers.

        Args:
            image_tokens: pooled tokens (B, 1 + P, D).
            text: B clean texts.
            patch_mask: boolean (B, P), True where a patch is masked.

        Returns:
            The patch states (B, P, D) and the promoted token (B, D).
        """
        bert = self.fusion_encoder
        low = bert.encode_text(text, layers=bert.split)
        visual_cls = bert.visual_embeddings.projection(image_tokens[:, 0])
        promoted = self.promotion(low[:, 0], visual_cls)
        filled_tokens = F.pad(patch_mask, (1, 0), value=True)
        filled = torch.where(filled_tokens.unsqueeze(-1), promoted.unsqueeze(1).to(image_tokens.dtype), image_tokens)
        return bert.encode_upper(low, text.mask, filled, wanted=slice(-patch_mask.shape[1], None)), promoted

    def read_masked_image(self, image_tokens: Tensor, text: Text, patch_mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Computes the inputs of the APIR loss. Takes the arguments of `reconstruct`.

        Returns:
            Logits (M, codes) at the M masked patches, and embeddings (B, D) of the clean images and of their
            reconstructions.
        """
        states, _ = self.reconstruct(image_tokens, text, patch_mask)
        logits = self.apir_head(states[patch_mask])
        # The mean of the projected tokens is the projection of their mean.
        clean = self.fusion_encoder.visual_embeddings.projection(image_tokens.mean(1))
        return logits, self.scaled(clean), self.scaled(states.mean(1))


def _known_objectives(names: Sequence[str] | str) -> Sequence[str]:
    names = [names] if isinstance(names, str) else names
    unknown = [str(name) for name in names if name not in OBJECTIVES]
    if unknown or not names:
        raise UserError(f"'objectives' holds {', '.join(unknown) or 'nothing'}: use some of {', '.join(OBJECTIVES)}.")
    return names
