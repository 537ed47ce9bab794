"""One BERT in three uses: text alone, text followed by image tokens (fusion), upper layers only."""

import torch
import torch.nn.functional as F
from fairscale.nn.checkpoint.checkpoint_activations import checkpoint_wrapper
from torch import Tensor, nn
from transformers import BertConfig, BertModel
from transformers.models.bert.modeling_bert import BertSelfAttention

from fashionfae_lavis.models.attention_init import mimetic_attention_
from fashionfae_lavis.text.word_pieces import Text


class SdpaSelfAttention(BertSelfAttention):
    """transformers' BERT self-attention with the same weights, without storing the attention map."""

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None, *_, **__) -> tuple[Tensor]:
        query, key, value = (
            self.transpose_for_scores(layer(hidden_states)) for layer in (self.query, self.key, self.value)
        )
        dropout = self.dropout.p if self.training else 0.0
        context = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask, dropout_p=dropout)
        return (context.transpose(1, 2).flatten(2),)


class VisualEmbeddings(nn.Module):
    """Image tokens into BERT's input space: projection, visual token type 0 and visual position (METHOD 2)."""

    def __init__(self, visual_width: int, config: BertConfig):
        super().__init__()
        self.projection = nn.Linear(visual_width, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)

    def forward(self, image_tokens: Tensor) -> Tensor:
        """(B, N, visual_width) -> (B, N, hidden), before the embedding LayerNorm."""
        position = self.position_embeddings.weight[: image_tokens.shape[1]]
        return self.projection(image_tokens) + self.token_type_embeddings.weight[0] + position


class FusionEncoder(BertModel):
    """transformers' BertModel, with visual embeddings and a forward for each of its uses.

    Attributes:
        split: number of lower layers whose text states APIR takes (4 of 12 in the paper).
    """

    def __init__(self, config: BertConfig, visual_width: int, split: int, grad_ckpt: bool = False):
        super().__init__(config)
        self.split = split
        self.visual_embeddings = VisualEmbeddings(visual_width, config)
        self.visual_embeddings.apply(self._init_weights)
        for index, layer in enumerate(self.encoder.layer):
            # Same parameters in the same order: only the computation changes.
            attention = layer.attention.self
            attention.__class__ = SdpaSelfAttention
            output = layer.attention.output.dense
            mimetic_attention_(*(part.weight for part in (attention.query, attention.key, attention.value, output)))
            if grad_ckpt:
                self.encoder.layer[index] = checkpoint_wrapper(layer)

        self._initialise_positions()

    @torch.no_grad()
    def _initialise_positions(self) -> None:
        """Positions start as sines and cosines, for training from scratch.

        From noise it takes thousands of updates before attention finds a neighbouring place. Text positions are as
        strong as words; visual ones as strong as projected image tokens, or filled patches would look all alike.
        """
        words = self.config.initializer_range
        visual = self.visual_embeddings
        for table, size in (
            (self.embeddings.position_embeddings.weight, words),
            (visual.position_embeddings.weight, words * visual.projection.in_features**0.5),
        ):
            frequencies = 10_000.0 ** -torch.linspace(0, 1, table.shape[1] // 2)
            angles = torch.arange(len(table))[:, None] * frequencies
            table.copy_(2**0.5 * size * torch.cat((angles.sin(), angles.cos()), 1))

    def run_layers(self, states: Tensor, mask: Tensor, first: int = 0, last: int | None = None) -> Tensor:
        """States (B, L, hidden) through layers first..last-1; mask (B, L) is 1 at real places."""
        mask = mask[:, None, None, :].bool()
        for layer in self.encoder.layer[first:last]:
            states = layer(states, mask)[0]
        return states

    def normalise(self, embeddings: Tensor) -> Tensor:
        """The embedding LayerNorm and dropout, once over a joint sequence."""
        return self.embeddings.dropout(self.embeddings.LayerNorm(embeddings))

    def embed_text(self, text: Text) -> Tensor:
        """Word + token type + position embeddings (B, L, hidden), before the LayerNorm."""
        embeddings = self.embeddings
        types = embeddings.token_type_embeddings
        return (
            embeddings.word_embeddings(text.input_ids)
            + (types.weight[0] if text.segments is None else types(text.segments))
            + embeddings.position_embeddings.weight[: text.input_ids.shape[1]]
        )

    def encode_text(self, text: Text, layers: int | None = None) -> Tensor:
        """Text alone -> states (B, L, hidden) after `layers` layers (None: all)."""
        return self.run_layers(self.normalise(self.embed_text(text)), text.mask, last=layers)

    def encode_joint(self, text: Text, image_tokens: Tensor) -> Tensor:
        """Fusion: text (B, L) then image tokens (B, N, visual_width) -> joint states (B, L + N, hidden)."""
        embeddings = torch.cat((self.embed_text(text), self.visual_embeddings(image_tokens)), dim=1)
        return self.run_layers(self.normalise(embeddings), _joint_mask(text.mask, image_tokens))

    def encode_upper(self, text_states: Tensor, mask: Tensor, image_tokens: Tensor) -> Tensor:
        """APIR: lower-layer text states (B, L, hidden), then image tokens, through the upper layers.

        The text states pass the embedding LayerNorm once more, as in the release.
        """
        embeddings = torch.cat((text_states, self.visual_embeddings(image_tokens)), dim=1)
        return self.run_layers(self.normalise(embeddings), _joint_mask(mask, image_tokens), first=self.split)

    @staticmethod
    def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
        """Mean of states (B, L, D) over places where mask (B, L) is 1 -> (B, D)."""
        weights = mask.to(states.dtype).unsqueeze(-1)
        return (states * weights).sum(1) / weights.sum(1)


def _joint_mask(mask: Tensor, image_tokens: Tensor) -> Tensor:
    return torch.cat((mask, mask.new_ones(image_tokens.shape[:2])), dim=1)
