"""Loading of weights across vocabularies: shared words keep their embeddings, others start from their pieces."""

from dataclasses import dataclass

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from fashionfae_lavis.models.vocabulary import SPECIAL

# Tensors with one row per word piece.
TABLES = ("fusion_encoder.embeddings.word_embeddings.weight", "mlm_head.bias")
CONTINUES = "##"  # begins a piece inside a word


@dataclass(frozen=True)
class WordTransfer:
    """Rows of another vocabulary's tables for each word piece of this one.

    Attributes:
        rows: for each piece of this vocabulary, the rows whose mean it starts from; empty for a piece with characters
            that the other vocabulary lacks.
        shared: number of pieces that both vocabularies have.
        composed: number of pieces that start from several rows, or from the same letters elsewhere in a word.
    """

    rows: list[list[int]]
    shared: int
    composed: int

    @classmethod
    def between(cls, theirs: PreTrainedTokenizerBase, ours: PreTrainedTokenizerBase) -> "WordTransfer":
        """Compares two vocabularies."""
        known, wanted = theirs.get_vocab(), ours.get_vocab()
        special = {getattr(ours, f"{name}_token"): getattr(theirs, f"{name}_token") for name in SPECIAL}
        rows, shared = [], 0
        for piece in sorted(wanted, key=wanted.__getitem__):
            row = known.get(special.get(piece, piece))
            shared += row is not None
            rows.append(_pieces(theirs, piece) if row is None else [row])
        return cls(rows, shared, sum(map(bool, rows)) - shared)

    def apply(self, table: Tensor, initial: Tensor) -> Tensor:
        """Returns this vocabulary's table.

        Args:
            table: (V, ...) of the other vocabulary.
            initial: (W, ...) of this vocabulary, whose rows stay where the other has nothing to start from.
        """
        moved = initial.clone()
        for row, sources in enumerate(self.rows):
            if sources:
                moved[row] = table[sources].float().mean(0).to(moved.dtype)
        return moved


def transfer_words(
    state: dict[str, Tensor],
    initial: dict[str, Tensor],
    theirs: PreTrainedTokenizerBase,
    ours: PreTrainedTokenizerBase,
) -> tuple[dict[str, Tensor], WordTransfer]:
    """Rewrites the tables of a state dict for another vocabulary.

    Args:
        state: the weights to load, with their vocabulary.
        initial: the model's initial weights, with its vocabulary.
        theirs, ours: tokenizers of the two vocabularies.

    Returns:
        The weights with this model's vocabulary, and what became of the words.
    """
    transfer = WordTransfer.between(theirs, ours)
    both = [name for name in TABLES if name in state and name in initial]
    return state | {name: transfer.apply(state[name], initial[name]) for name in both}, transfer


def _pieces(tokenizer: PreTrainedTokenizerBase, piece: str) -> list[int]:
    """Returns the ids of a piece's letters, read as a word; none if a letter is unknown."""
    ids = tokenizer(piece.removeprefix(CONTINUES), add_special_tokens=False)["input_ids"]
    return [] if tokenizer.unk_token_id in ids else list(ids)
