"""Checks of the batches that reach a model. Each mistake is one sentence that names the key and the mend."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.text.word_pieces import as_texts

_PROCESS = 'pass photographs through image_processors["eval"] of load_model_and_preprocess and stack them'


def value_of(samples: Any, key: str, use: str) -> Any:
    """Returns `samples[key]`.

    Args:
        samples: the batch, a mapping.
        key: the key.
        use: what needs the key, for the error.

    Raises:
        UserError: `samples` is not a mapping, or lacks the key, or has None there.
    """
    if not isinstance(samples, Mapping):
        raise UserError(
            f"samples is of type {type(samples).__name__}, but must be a dict with {key!r} ({use} needs it)."
        )
    if samples.get(key) is None:
        given = ", ".join(map(repr, samples)) or "nothing"
        raise UserError(f"samples has no {key!r}, which {use} needs; it holds {given}.")
    return samples[key]


def as_images(images: Any, key: str = "image", side: int | None = None) -> Tensor:
    """Checks a batch of images; a single image (3, S, S) is a batch of one.

    Args:
        images: (B, 3, S, S), floats.
        key: what to call them in the error.
        side: the S that the model reads; None for any.

    Returns:
        (B, 3, S, S).

    Raises:
        UserError: the images are no float tensor of this shape, or the batch is empty.
    """
    wanted = f"(B, 3, {side}, {side})" if side else "(B, 3, height, width)"
    if not isinstance(images, Tensor):
        raise UserError(f"{key!r} is of type {type(images).__name__}, but must be a tensor {wanted}: {_PROCESS}.")
    batch = images[None] if images.ndim == 3 else images
    fits = batch.ndim == 4 and batch.shape[1] == 3 and (side is None or batch.shape[2:] == (side, side))
    if not fits or not batch.shape[0]:
        raise UserError(f"{key!r} has the shape {tuple(images.shape)}, but must have {wanted} with B > 0: {_PROCESS}.")
    if not batch.is_floating_point():
        raise UserError(f"{key!r} holds {batch.dtype}, but must hold normalised floats: {_PROCESS}.")
    return batch


def images_of(samples: Any, use: str, side: int | None = None, key: str = "image") -> Tensor:
    """Returns the images (B, 3, S, S) of a batch; see `value_of` and `as_images`."""
    return as_images(value_of(samples, key, use), key, side)


def texts_of(samples: Any, use: str, count: int | None = None, key: str = "text_input") -> list[str]:
    """Returns the texts of a batch; a single string is a batch of one.

    Args:
        samples: the batch.
        use: what needs the texts, for the error.
        count: the number of images that the texts belong to; None if they are read alone.
        key: key of the texts.

    Raises:
        UserError: the texts are missing, empty, no strings, or not as many as the images.
    """
    texts = as_texts(value_of(samples, key, use), key)
    if count is not None and len(texts) != count:
        raise UserError(f"samples has {count} images but {len(texts)} texts in {key!r}: give one text for each image.")
    return texts


def check_rows(values: Any, key: str, count: int) -> None:
    """Raises UserError if a tensor or list has not one entry for each of the `count` images."""
    if not isinstance(values, (Tensor, Sequence)) or isinstance(values, str):
        raise UserError(
            f"{key!r} is of type {type(values).__name__}, but must hold one entry for each of {count} images."
        )
    found = len(values) if not isinstance(values, Tensor) or values.ndim else 0
    if found != count:
        raise UserError(f"{key!r} has {found} entries, but must have one for each of {count} images.")


def labels_of(samples: Any, use: str, count: int, key: str = "label") -> Tensor:
    """Returns the class indices (B,) of a batch of `count` images.

    Raises:
        UserError: they are missing, no integers, or not one for each image.
    """
    labels = torch.as_tensor(value_of(samples, key, use))
    if labels.shape != (count,) or labels.is_floating_point() or labels.dtype == torch.bool:
        raise UserError(
            f"{key!r} has the shape {tuple(labels.shape)} and {labels.dtype}, but must hold one class index for each "
            f"of {count} images."
        )
    return labels
