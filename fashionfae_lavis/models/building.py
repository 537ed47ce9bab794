"""Building of a model from its checkpoint."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from transformers import PreTrainedTokenizerBase

from fashionfae_lavis.checkpoints import read_checkpoint
from fashionfae_lavis.models.guards import SizeLimit, configuration_of
from fashionfae_lavis.models.vocabulary import from_carried, load_tokenizer


class Loadable(Protocol):
    """A model that loads the content of its checkpoints."""

    def load_content(self, content: dict[str, Any], path: str) -> None: ...


Model = TypeVar("Model", bound=Loadable)


def open_checkpoint(path: str, vocabulary: str, build: Callable[[PreTrainedTokenizerBase], Model]) -> Model:
    """Builds a model and loads its checkpoint.

    Args:
        path: the checkpoint.
        vocabulary: vocabulary for a checkpoint that carries none, see `load_tokenizer`.
        build: builds the model for a tokenizer.

    Raises:
        UserError: the file cannot be read, or its configuration, vocabulary and weights do not fit each other.
    """
    content = read_checkpoint(path)
    text = (content.get("config") or {}).get("vocabulary")
    tokenizer = load_tokenizer(vocabulary) if text is None else from_carried(text, path)
    with configuration_of(path), SizeLimit(content["model"], path):
        model = build(tokenizer)
    model.load_content(content, path)
    return model
