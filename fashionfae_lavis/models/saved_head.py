"""The check that a recognition checkpoint answers the question of the run."""

import logging
from typing import Any, Protocol

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.guards import model_section


class HasHead(Protocol):
    """A recognition model, see `FashionRecognition`."""

    ARCH: str
    use_text: bool
    classes: list[str] | None


def check_same_head(content: dict[str, Any], model: HasHead, path: str, key: str) -> None:
    """Checks that a recognition checkpoint has a model's classes and the same `use_text`.

    Checkpoints of other models have no classes and pass. An imported recognition checkpoint does not name its classes,
    so alphabetical order is assumed.

    Args:
        content: the checkpoint.
        model: the model that starts from it.
        path: its file, for the error.
        key: configuration key that names the checkpoint, for the error.

    Raises:
        UserError: the classes or `use_text` differ.
    """
    saved = model_section(content)
    if saved.get("arch", model.ARCH) != model.ARCH:
        return
    use_text, classes = saved.get("use_text", True), saved.get("classes") or []
    if use_text != model.use_text:
        raise UserError(
            f"`{key}` was trained with model.use_text={use_text}: set model.use_text to {use_text}, or start from a "
            "pre-trained checkpoint."
        )
    if model.classes and not classes:
        logging.warning("%s does not name its classes; assuming alphabetical order.", path)
    elif model.classes and classes != model.classes:
        differ = sorted(set(classes) ^ set(model.classes))
        shown = ", ".join(differ[:3]) + (", ..." if len(differ) > 3 else "")
        raise UserError(
            f"`{key}` distinguishes {len(classes)} classes, the dataset has {len(model.classes)}, and {len(differ)} "
            f"are not in both ({shown}): use the checkpoint's dataset and `label`, or start from a pre-trained "
            "checkpoint."
        )
