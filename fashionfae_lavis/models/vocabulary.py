"""Vocabularies: loading from a folder, the hub or a checkpoint, and the form in which a checkpoint carries one."""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.datasets.builders.cache import data_folder
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.configuration import shipped
from fashionfae_lavis.models.initial_weights import from_hub
from fashionfae_lavis.text.product_text import SEPARATOR

SPECIAL = ("pad", "unk", "cls", "sep", "mask")
CHECKPOINTS = (".pth", ".safetensors")


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """Loads the word-piece tokenizer of `model.vocabulary`.

    Args:
        name: a vocabulary in the package (`mini`), a local folder (relative to the working directory or, like a
            catalogue, to the cache folder), a checkpoint that carries its vocabulary, or a hub id.

    Raises:
        UserError: the vocabulary cannot be read, or is not one of word pieces with the special pieces of BERT.
    """
    if not isinstance(name, str) or not name:
        raise UserError(
            f"`model.vocabulary` is {name!r}, but must be a folder, a checkpoint or the id of a vocabulary."
        )
    path = Path(shipped("vocabularies", name))
    if not path.exists() and data_folder(name, name).is_dir():
        path = data_folder(name, name)
    if path.is_file():
        return _of_file(path)
    if path.is_dir() and not any((path / name).is_file() for name in ("tokenizer_config.json", "config.json")):
        raise UserError(
            f"`model.vocabulary` is the folder {path}, which has no tokenizer_config.json: a vocabulary is a folder "
            "with vocab.txt and tokenizer_config.json."
        )
    where = f"The vocabulary {path} of `model.vocabulary`" if path.is_dir() else f"The vocabulary {name!r} of the hub"
    tokenizer = from_hub(AutoTokenizer.from_pretrained, str(path), "vocabulary of `model.vocabulary`")
    _check(tokenizer, where)
    return tokenizer


def carried(tokenizer: PreTrainedTokenizerBase) -> str:
    """Returns a tokenizer as one string: its words, rules and special pieces. `from_carried` reverses it."""
    content = {
        "tokenizer": json.loads(tokenizer.backend_tokenizer.to_str()),
        "special_tokens": tokenizer.special_tokens_map,
    }
    # The string passes through OmegaConf, which would take "${" for a reference.
    return json.dumps(content).replace("$", "\\u0024")


def from_carried(text: Any, path: str | Path) -> PreTrainedTokenizerBase:
    """Builds the tokenizer that a checkpoint carries.

    Args:
        text: the result of `carried`.
        path: the checkpoint, for the error.

    Raises:
        UserError: the text is damaged.
    """
    try:
        content = json.loads(text)
        pieces = Tokenizer.from_str(json.dumps(content["tokenizer"]))
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=pieces, **content["special_tokens"])
    except Exception as error:  # `tokenizers` raises plain exceptions
        raise UserError(f"{path} carries a damaged vocabulary: use another copy of the file.") from error
    _check(tokenizer, f"The vocabulary in {path}")
    return tokenizer


def vocabulary_of(content: dict[str, Any], path: str | Path) -> PreTrainedTokenizerBase | None:
    """Returns the vocabulary that a checkpoint was trained with.

    One that carries none was trained with the vocabulary in the package that its configuration names. Encoder files
    name none and have the mini model's.

    Args:
        content: the checkpoint.
        path: the checkpoint, for the error.

    Returns:
        The tokenizer, or None if the checkpoint does not say.

    Raises:
        UserError: the vocabulary is damaged.
    """
    config = content.get("config") or {}
    if config.get("vocabulary") is not None:
        return from_carried(config["vocabulary"], path)
    model = config.get("model") or {}
    name = str(model.get("vocabulary", "mini" if model.get("arch") == "encoders" else ""))
    return load_tokenizer(name) if name and shipped("vocabularies", name) != name else None


def check_same_words(content: dict[str, Any], tokenizer: PreTrainedTokenizerBase | None, path: str | Path) -> None:
    """Checks that a checkpoint was trained with a model's vocabulary; one that carries none passes.

    Args:
        content: the checkpoint.
        tokenizer: the model's tokenizer; None for a model that tokenizes no texts.
        path: the checkpoint, for the error.

    Raises:
        UserError: the words differ.
    """
    text = (content.get("config") or {}).get("vocabulary")
    if text is None or tokenizer is None:
        return
    theirs, ours = from_carried(text, path).get_vocab(), tokenizer.get_vocab()
    different = [word for word in theirs if ours.get(word) != theirs[word]]
    if different:
        raise UserError(
            f"{path} was trained with another vocabulary ({len(different)} of {len(theirs)} word pieces differ, such "
            f"as {different[0]!r}): set model.vocabulary to this file, which carries the right one."
        )


def _of_file(path: Path) -> PreTrainedTokenizerBase:
    if path.suffix not in CHECKPOINTS:
        raise UserError(
            f"`model.vocabulary` is the file {path}, but must be a folder with vocab.txt and tokenizer_config.json, or "
            "a checkpoint."
        )
    text = (read_checkpoint(path).get("config") or {}).get("vocabulary")
    if text is None:
        raise UserError(f"{path} carries no vocabulary: set model.vocabulary to the folder that it was trained with.")
    return from_carried(text, path)


def _check(tokenizer: PreTrainedTokenizerBase, where: str) -> None:
    """Raises UserError unless a tokenizer has each special piece and gaplessly numbered words."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise UserError(f"{where} has no fast tokenizer: use a word-piece vocabulary as BERT's.")
    if not isinstance(backend.model, WordPiece):
        kind = type(backend.model).__name__
        raise UserError(f"{where} is one of {kind}, not of word pieces: use a vocabulary as BERT's.")
    if tokenizer.sep_token not in (None, SEPARATOR.strip()):
        raise UserError(
            f"{where} separates texts by {tokenizer.sep_token}, but the texts of products have {SEPARATOR.strip()}: "
            "use a vocabulary as BERT's."
        )
    words = backend.get_vocab(with_added_tokens=False)
    added = {str(token) for token in tokenizer.get_added_vocab()}
    for name in SPECIAL:
        piece = getattr(tokenizer, f"{name}_token", None)
        # transformers appends a piece that the vocabulary lacks, which shifts the number of word pieces.
        if piece is None or piece not in words or piece in added - words.keys():
            raise UserError(f"{where} lacks the piece {piece or f'[{name.upper()}]'}: add it to vocab.txt.")
    if not isinstance(tokenizer.model_max_length, int | float):
        raise UserError(f"{where} has no number as model_max_length: correct tokenizer_config.json.")
    if len(words) <= len(SPECIAL):
        raise UserError(f"{where} has no words: use another vocabulary.")
    if sorted(words.values()) != list(range(len(words))):
        raise UserError(f"{where} repeats words or has empty lines: each line of vocab.txt must be another piece.")
