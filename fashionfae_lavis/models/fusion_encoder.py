"""The fusion encoder: one BERT that reads text alone, or text followed by image tokens."""

import torch
import torch.nn.functional as F
from fairscale.nn.checkpoint.checkpoint_activations import checkpoint_wrapper
from torch import Tensor, nn
from transformers import BertConfig, BertModel
from transformers.models.bert.modeling_bert import BertSelfAttention

from fashionfae_lavis.models.attention_init import mimetic_attention_
from fashionfae_lavis.text.word_pieces import Text

CLS = slice(0, 1)  # the position whose state the pooler reads


class SdpaSelfAttention(nn.Module):
    """BERT's self-attention by torch's fused kernel.

    The kernel stores no attention map, except on CPU in training with dropout.

    Args:
        attention: transformers' self-attention, whose layers this module takes over.
    """

    def __init__(self, attention: BertSelfAttention):
        super().__init__()
        self.query, self.key, self.value = attention.query, attention.key, attention.value
        self.dropout = attention.dropout
        self.heads = attention.num_attention_heads

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        head_mask: None = None,
        encoder_hidden_states: Tensor | None = None,
        *_,
        **__,
    ) -> tuple[Tensor]:
        """Maps states (B, Q, D) to a context (B, Q, D); arguments as in transformers.

        Args:
            hidden_states: the states that ask.
            attention_mask: boolean (B, 1, 1, L), True at real positions.
            head_mask: not supported.
            encoder_hidden_states: the states (B, L, D) that are read; None for `hidden_states`.
        """
        read = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            layer(states).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, states in ((self.query, hidden_states), (self.key, read), (self.value, read))
        )
        dropout = self.dropout.p if self.training else 0.0
        context = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask, dropout_p=dropout)
        return (context.transpose(1, 2).flatten(2),)


class VisualEmbeddings(nn.Module):
    """Embedding of image tokens in BERT's input space: projection plus visual token type 0 plus visual position."""

    def __init__(self, visual_width: int, config: BertConfig):
        super().__init__()
        self.width = visual_width
        self.projection: nn.Module = nn.Linear(visual_width, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)

    def forward(self, image_tokens: Tensor) -> Tensor:
        """Maps tokens (B, N, visual_width) to embeddings (B, N, hidden), before the embedding LayerNorm."""
        position = self.position_embeddings.weight[: image_tokens.shape[1]]
        return self.projection(image_tokens) + self.token_type_embeddings.weight[0] + position


class FusionEncoder(BertModel):
    """transformers' BertModel with visual embeddings and one method for each way of reading.

    Args:
        config: sizes of the BERT.
        visual_width: width of the image tokens.
        split: number of lower layers whose text states APIR reads (4 of 12 in the paper).
        grad_ckpt: recomputes activations in the backward pass (fairscale) to save memory, except in a last layer that
            computes only some positions.
    """

    def __init__(self, config: BertConfig, visual_width: int, split: int, grad_ckpt: bool = False):
        super().__init__(config)
        self.split = split
        self.visual_embeddings = VisualEmbeddings(visual_width, config)
        self.visual_embeddings.apply(self._init_weights)
        for index, layer in enumerate(self.encoder.layer):
            layer.attention.self = attention = SdpaSelfAttention(layer.attention.self)
            output = layer.attention.output.dense
            mimetic_attention_(attention.query.weight, attention.key.weight, attention.value.weight, output.weight)
            if grad_ckpt:
                self.encoder.layer[index] = checkpoint_wrapper(layer)

        self._initialise_positions()

    @torch.no_grad()
    def _initialise_positions(self) -> None:
        """Initialises positions with sines and cosines, for training from scratch.

        From random noise, attention takes thousands of updates to find the neighbours of a position. Text positions are
        as large as word embeddings, and visual positions as large as projected image tokens. If they were smaller, all
        filled patches would look alike.
        """
        words = self.config.initializer_range
        visual = self.visual_embeddings
        for table, size in (
            (self.embeddings.position_embeddings.weight, words),
            (visual.position_embeddings.weight, words * visual.width**0.5),
        ):
            frequencies = 10_000.0 ** -torch.linspace(0, 1, table.shape[1] // 2)
            angles = torch.arange(len(table))[:, None] * frequencies
            table.copy_(2**0.5 * size * torch.cat((angles.sin(), angles.cos()), 1))

    def run_layers(
        self, states: Tensor, mask: Tensor, first: int = 0, last: int | None = None, wanted: slice | None = None
    ) -> Tensor:
        """Passes states (B, L, hidden) through layers first to last - 1; mask (B, L) is 1 at real positions.

        Returns the states at the `wanted` positions (None: all). The last layer computes only these.
        """
        mask = mask[:, None, None, :].bool()
        layers = self.encoder.layer[first:last]
        if wanted is None or not layers:
            for layer in layers:
                states = layer(states, mask)[0]
            return states[:, wanted or slice(None)]
        for layer in layers[:-1]:
            states = layer(states, mask)[0]
        top = layers[-1]
        return top.feed_forward_chunk(top.attention(states[:, wanted], mask, encoder_hidden_states=states)[0])

    def normalise(self, embeddings: Tensor) -> Tensor:
        """Applies the embedding LayerNorm and dropout to a whole sequence (B, L, hidden)."""
        return self.embeddings.dropout(self.embeddings.LayerNorm(embeddings))

    def embed_text(self, text: Text) -> Tensor:
        """Sums word, token type and position embeddings (B, L, hidden), before the LayerNorm."""
        embeddings = self.embeddings
        types = embeddings.token_type_embeddings
        return (
            embeddings.word_embeddings(text.input_ids)
            + (types.weight[0] if text.segments is None else types(text.segments))
            + embeddings.position_embeddings.weight[: text.input_ids.shape[1]]
        )

    def encode_text(self, text: Text, layers: int | None = None) -> Tensor:
        """Reads text alone and returns its states (B, L, hidden) after `layers` layers (None: all)."""
        return self.run_layers(self.normalise(self.embed_text(text)), text.mask, last=layers)

    def encode_joint(self, text: Text, image_tokens: Tensor, wanted: slice | None = None) -> Tensor:
        """Reads texts (B, L) followed by image tokens (B, N, visual_width).

        Returns the joint states (B, L + N, hidden), or only those at the `wanted` positions.
        """
        embeddings = torch.cat((self.embed_text(text), self.visual_embeddings(image_tokens)), dim=1)
        return self.run_layers(self.normalise(embeddings), _joint_mask(text.mask, image_tokens), wanted=wanted)

    def encode_upper(
        self, text_states: Tensor, mask: Tensor, image_tokens: Tensor, wanted: slice | None = None
    ) -> Tensor:
        """Passes lower-layer text states (B, L, hidden) followed by image tokens through the upper layers, for APIR.

        Returns the states (B, L + N, hidden), or only those at the `wanted` positions.

        The text states pass the embedding LayerNorm a second time, as in the authors' code.
        """
        embeddings = torch.cat((text_states, self.visual_embeddings(image_tokens)), dim=1)
        return self.run_layers(self.normalise(embeddings), _joint_mask(mask, image_tokens), self.split, wanted=wanted)

    @staticmethod
    def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
        """Averages states (B, L, D) over the positions where mask (B, L) is 1: (B, D)."""
        weights = mask.to(states.dtype).unsqueeze(-1)
        return (states * weights).sum(1) / weights.sum(1)


def _joint_mask(mask: Tensor, image_tokens: Tensor) -> Tensor:
    return torch.cat((mask, mask.new_ones(image_tokens.shape[:2])), dim=1)
