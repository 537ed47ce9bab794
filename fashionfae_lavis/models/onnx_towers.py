"""The towers that `fashionfae export-onnx` writes: running them, comparing them with their model, and 8-bit copies."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from fashionfae_lavis.errors import UserError

FLOAT, INT8 = ("image.onnx", "text.onnx"), ("image.int8.onnx", "text.int8.onnx")
FILES = (*FLOAT, "tokenizer.json", "processing.json")
QUANTISED = ["MatMul", "Gather"]  # linear layers and tables of words; convolutions would lose speed
MOST_DIFFERENCE, LEAST_AGREEMENT = 1e-4, 95.0

Embeddings = tuple[NDArray[np.float32], NDArray[np.float32]]  # of images (N, D) and texts (M, D)


@dataclass(frozen=True)
class Parity:
    """The agreement of two models' embeddings.

    Attributes:
        difference: the largest absolute difference of two numbers.
        agreement: share of the images with the same best text in both, in percent.
        images: number of images.
    """

    difference: float
    agreement: float
    images: int

    @property
    def is_good(self) -> bool:
        """Whether both are the same model, but for rounding."""
        return self.difference <= MOST_DIFFERENCE and self.agreement >= LEAST_AGREEMENT

    def __str__(self) -> str:
        same = f"same best text for {self.agreement:.1f} % of {self.images} images"
        return f"largest difference {self.difference:.1e}, {same}"


def parity(ours: Embeddings, theirs: Embeddings) -> Parity:
    """Compares two models' embeddings of the same images and texts; NaN differs infinitely.

    >>> images, texts = np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)
    >>> print(parity((images, texts), (images, texts[::-1])))
    largest difference 1.0e+00, same best text for 0.0 % of 2 images
    """
    difference = float(np.max([np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True)]))  # NaN if one is
    best = [(images @ texts.T).argmax(1) for images, texts in (ours, theirs)]
    agreement = 100 * float((best[0] == best[1]).mean())
    return Parity(difference if difference >= 0 else float("inf"), agreement, len(best[0]))


class OnnxTowers:
    """Both towers in onnxruntime on the CPU, with the vocabulary in the package `tokenizers`.

    Args:
        folder: folder of `export_onnx`.
        files: names of the image and the text tower.
    """

    def __init__(self, folder: Path, files: tuple[str, str] = FLOAT):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        self._image, self._text = (onnxruntime.InferenceSession(str(folder / file), options) for file in files)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def embed_images(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps images (B, 3, S, S) to unit-length embeddings (B, D)."""
        return self._image.run(None, {"images": images})[0]

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Maps B texts to unit-length embeddings (B, D)."""
        pieces = self._tokenizer.encode_batch(list(texts))
        ids, mask = (np.array([getattr(text, name) for text in pieces]) for name in ("ids", "attention_mask"))
        return self._text.run(None, {"input_ids": ids, "attention_mask": mask})[0]


def quantise(folder: str | Path) -> None:
    """Writes copies of exported towers with 8-bit weights, `image.int8.onnx` and `text.int8.onnx`, beside them.

    The weights of linear layers and word tables are rounded to 8 bits, each row with a scale. Their inputs are rounded
    while the tower runs (onnxruntime's dynamic quantisation).

    Raises:
        UserError: onnxruntime is not installed, or the files cannot be written.
    """
    require_onnx("onnx", "onnxruntime")
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    folder = Path(folder)
    with replacing_together(folder, INT8) as written, _quiet():
        for source, target in zip(FLOAT, INT8, strict=True):
            model = onnx.load(folder / source)
            # onnxruntime transposes weights of linear layers, and then rejects the shapes that the exporter noted.
            model.graph.ClearField("value_info")
            quantize_dynamic(
                model,
                written / target,
                op_types_to_quantize=QUANTISED,
                per_channel=True,
                weight_type=QuantType.QInt8,
            )


def require_onnx(*packages: str) -> None:
    """Raises UserError unless all these packages are installed."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise UserError(f"ONNX export needs {' and '.join(missing)}: pip install 'fashionfae-lavis[onnx]'.")


@contextmanager
def replacing_together(folder: Path, files: Sequence[str]) -> Iterator[Path]:
    """Yields a temporary folder, and moves these files from it into `folder` if the block succeeds.

    Raises:
        UserError: the folder cannot be written to, or its disk is full.
    """
    try:
        with TemporaryDirectory(prefix=".export-", dir=folder) as name:
            yield Path(name)
            for file in files:
                os.replace(Path(name) / file, folder / file)
    except OSError as error:
        raise UserError(
            f"Cannot write to {folder} ({error.strerror}): free some space or use another folder."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Hides onnxruntime's advice on the preparation of models, which the exporter has done."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(disabled)
