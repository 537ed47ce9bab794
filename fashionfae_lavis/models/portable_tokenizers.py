"""Tokenizers of the package `tokenizers` that need no model: their file is all that another program has to open."""

from lavis.models.clip_models import tokenizer as clip_tokenizer
from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import convert_slow_tokenizer

START, END = "<start_of_text>", "<end_of_text>"  # of LAVIS's CLIP
WORD_END = "</w>"


def portable(
    tokenizer: PreTrainedTokenizerBase, length: int, end: int | None = None, pad_to: int | None = None
) -> Tokenizer:
    """Copies a word-piece tokenizer of transformers, with truncation and padding.

    Args:
        tokenizer: the tokenizer.
        length: length of the longest text in word pieces; the end of longer ones is cut.
        end: id that ends a text instead of [SEP]; it need not be in the vocabulary.
        pad_to: length that every text is padded to; None pads to the longest text of the batch.
    """
    pieces = Tokenizer.from_str(backend(tokenizer).to_str())
    if end is not None:
        # No text can contain this piece, because the vocabulary lacks it.
        ends = [(tokenizer.cls_token, tokenizer.cls_token_id), (END, end)]
        pieces.post_processor = TemplateProcessing(single=f"{tokenizer.cls_token} $A {END}", special_tokens=ends)
    pieces.enable_truncation(length)
    pieces.enable_padding(pad_id=tokenizer.pad_token_id, pad_token=tokenizer.pad_token, length=pad_to)
    return pieces


def backend(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """Returns the tokenizer of the package `tokenizers` inside one of transformers, or converts one written in Python.

    LAVIS's BLIP and ALBEF have the latter.
    """
    if tokenizer.is_fast:
        return tokenizer.backend_tokenizer
    pieces = convert_slow_tokenizer(tokenizer)
    added = sorted(tokenizer.get_added_vocab().items(), key=lambda pair: pair[1])
    pieces.add_special_tokens([AddedToken(piece, special=True) for piece, _ in added])
    return pieces


def portable_clip(length: int) -> Tokenizer:
    """Builds the byte-pair tokenizer of LAVIS's CLIP, which pads every text to `length`.

    It differs from LAVIS's in two points. A text of more than `length` pieces keeps its end, from which CLIP reads the
    embedding; LAVIS cuts it off. And it does not mend the encoding of texts, as LAVIS does with `ftfy` and `html`.
    """
    theirs = clip_tokenizer._tokenizer
    merges = sorted(theirs.bpe_ranks, key=theirs.bpe_ranks.get)
    pieces = Tokenizer(BPE(theirs.encoder, merges, end_of_word_suffix=WORD_END))
    pieces.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    words = pre_tokenizers.Split(Regex(theirs.pat.pattern), behavior="removed", invert=True)
    pieces.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(False, use_regex=False)])
    pieces.add_special_tokens([START, END])
    ends = [(piece, theirs.encoder[piece]) for piece in (START, END)]
    pieces.post_processor = TemplateProcessing(single=f"{START} $A {END}", special_tokens=ends)
    pieces.enable_truncation(length)
    pieces.enable_padding(pad_id=0, pad_token="!", length=length)
    return pieces
