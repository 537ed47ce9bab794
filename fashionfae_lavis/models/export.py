"""Export of a checkpoint's weights and architecture, and of the two towers for other runtimes."""

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lavis.models import load_preprocess
from omegaconf import OmegaConf
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torchvision.transforms import Normalize

from fashionfae_lavis.checkpoints import read_checkpoint, save_safetensors
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import make_folder, replacing
from fashionfae_lavis.models.adapters import Adapter, adapt
from fashionfae_lavis.models.configuration import processing_of
from fashionfae_lavis.models.evaluation_mode import without_dropout
from fashionfae_lavis.models.guards import model_section
from fashionfae_lavis.models.onnx_towers import (
    FILES,
    INT8,
    OnnxTowers,
    Parity,
    parity,
    replacing_together,
    require_onnx,
)
from fashionfae_lavis.models.portable_tokenizers import WORD_END
from fashionfae_lavis.models.saving import without_paths
from fashionfae_lavis.models.vocabulary import carried, load_tokenizer
from fashionfae_lavis.processors.images import NormalisedTensor
from fashionfae_lavis.text.word_pieces import Text

CHECKED = 32  # images and texts that exported towers are checked on
EXAMPLES, PIECES = 2, 8  # size of the batch that is traced; export fixes sizes of 0 and 1
WORD = "dress"  # read by a text processor, to see what it puts before a text

Processing = Mapping[str, Mapping[str, Any]]


def export_weights(checkpoint: str, path: str) -> None:
    """Writes the weights, configuration and vocabulary of a checkpoint to a file that `load_model` opens anywhere.

    Args:
        checkpoint: checkpoint of a run.
        path: file to write, .safetensors.

    Raises:
        UserError: the checkpoint cannot be read, or the file cannot be written.
    """
    content = read_checkpoint(checkpoint)
    config: dict[str, Any] = {"model": without_paths(model_section(content))}
    if processing := processing_of(content.get("config") or {}):
        config["preprocess"] = processing
    if vocabulary := _vocabulary_of(content):
        config["vocabulary"] = vocabulary
    save_safetensors(content["model"], config, path)


def _vocabulary_of(content: Mapping[str, Any]) -> str | None:
    """Returns the vocabulary that a checkpoint carries or, in one of version 0.1, names; None if it is not found."""
    text, name = (content.get("config") or {}).get("vocabulary"), model_section(content).get("vocabulary")
    if text is not None or name is None:
        return text
    try:
        return carried(load_tokenizer(name))
    except UserError as error:
        logging.warning("The file will not carry the vocabulary. %s", error)
        return None


class ImageTower(nn.Module):
    """The image half of a model with global embeddings, for `torch.jit.trace`, `torch.export` and ONNX."""

    inputs = ("images",)

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model, self._adapter = model, adapt(model)

    def forward(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, S, S) to unit-length embeddings (B, D)."""
        return self._adapter.image_features(images)

    def example(self) -> tuple[Tensor, ...]:
        """Returns inputs to trace with."""
        side = self._adapter.image_size
        return (torch.zeros(EXAMPLES, 3, side, side, device=self._adapter.device),)

    def dynamic(self) -> dict[str, Any]:
        """Returns the dimensions of the inputs that may vary."""
        return {"images": {0: Dim("batch")}}


class TextTower(nn.Module):
    """The text half of a model with global embeddings, for `torch.jit.trace`, `torch.export` and ONNX."""

    inputs = ("input_ids", "attention_mask")

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model, self._adapter = model, adapt(model)
        tokenizer = self._adapter.text_tokenizer()
        self._longest, self._only = longest_text(tokenizer), tokenizer.padding["length"]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Maps ids and mask (B, L) of texts, see `Adapter.text_tokenizer`, to unit-length embeddings (B, D)."""
        return self._adapter.text_features(Text(input_ids, attention_mask))

    def example(self) -> tuple[Tensor, ...]:
        """Returns inputs to trace with."""
        ids = torch.zeros(EXAMPLES, self._only or PIECES, dtype=torch.long, device=self._adapter.device)
        return ids, torch.ones_like(ids)

    def dynamic(self) -> dict[str, Any]:
        """Returns the dimensions of the inputs that may vary; one `Dim` makes the same size of both inputs."""
        sizes = {0: Dim("batch")} if self._only else {0: Dim("batch"), 1: Dim("length", max=self._longest)}
        return dict.fromkeys(self.inputs, sizes)


def longest_text(tokenizer: Tokenizer) -> int:
    """Returns the length that a tokenizer cuts texts at."""
    return int(tokenizer.truncation["max_length"])


@torch.no_grad()
def export_program(tower: ImageTower | TextTower) -> ExportedProgram:
    """Exports a tower with `torch.export`, for any batch size and, unless the model reads one length, text length."""
    with without_dropout(tower.model):
        return torch.export.export(tower, tower.example(), dynamic_shapes=tower.dynamic())


def export_onnx(model: nn.Module, folder: str | Path, processing: Processing | None = None) -> Parity:
    """Writes both towers of a retrieval or pre-training model as ONNX, for any batch size and text length.

    `image.onnx` maps `images` (B, 3, S, S) and `text.onnx` maps `input_ids` and `attention_mask` (B, L) to `embeddings`
    (B, D) of unit length, whose dot product is the cosine similarity. CLIP reads texts of one length only.
    `tokenizer.json` is the vocabulary with padding and the model's longest length, for the package `tokenizers`.
    `processing.json` says how to prepare both inputs.

    Args:
        model: the model.
        folder: folder to write to; created if missing.
        processing: `vis_processor` and `text_processor` of evaluation; None takes those of the model, if it is one of
            this package.

    Returns:
        How well the files agree with the model, on random images and words.

    Raises:
        UserError: the model has no embeddings of both sides, the packages for ONNX are not installed, a file cannot be
            written, or the files do not agree with the model; files of an earlier export then stay as they are.
    """
    adapter = adapt(model)
    if not adapter.exports:
        raise UserError(
            f"{type(model).__name__} has no image and text tower to export: use a retrieval or pre-training model of "
            "FashionFAE, BLIP or ALBEF, or CLIP."
        )
    require_onnx("onnx", "onnxscript", "onnxruntime")
    folder = Path(folder)
    make_folder(folder)
    towers: dict[str, ImageTower | TextTower] = {"image.onnx": ImageTower(model), "text.onnx": TextTower(model)}
    with replacing_together(folder, FILES) as written:
        for name, tower in towers.items():
            _write_onnx(tower, written / name)
        _write_text(adapter.text_tokenizer().to_str(), written / "tokenizer.json")
        content = _how_to_process(adapter, processing or adapter.model.processing())
        _write_text(json.dumps(content, indent=2) + "\n", written / "processing.json")
        found = _check(adapter, OnnxTowers(written))
    for file in INT8:  # of an earlier model
        (folder / file).unlink(missing_ok=True)
    return found


@torch.no_grad()
def _write_onnx(tower: ImageTower | TextTower, path: Path) -> None:
    with without_dropout(tower.model), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes on its own deprecations
        program = torch.onnx.export(
            tower,
            tower.example(),
            dynamo=True,
            dynamic_shapes=tower.dynamic(),
            input_names=list(tower.inputs),
            output_names=["embeddings"],
            verbose=False,
        )
    assert program is not None
    with replacing(path) as temporary:
        temporary.write_bytes(program.model_proto.SerializeToString())


def _write_text(text: str, path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _how_to_process(adapter: Adapter, processing: Processing) -> dict[str, dict[str, Any]]:
    """Returns what processing.json holds: the image processing of evaluation, and what texts begin with."""
    image, text = (processing[side]["eval"] for side in ("vis_processor", "text_processor"))
    processors = load_preprocess(OmegaConf.create({"vis_processor": {"eval": image}, "text_processor": {"eval": text}}))
    steps: Any = getattr(getattr(processors[0]["eval"], "transform", None), "transforms", [])
    normalised = [step for step in steps if isinstance(step, (Normalize, NormalisedTensor))]
    # The configuration may leave mean and deviation to the processor.
    defaults = [{"mean": list(step.mean), "std": list(step.std)} for step in normalised]
    prefix = processors[1]["eval"](WORD).removesuffix(WORD)
    longest = longest_text(adapter.text_tokenizer())
    return {"image": {**(defaults[0] if defaults else {}), **image}, "text": {"prefix": prefix, "max_length": longest}}


def _random_texts(tokenizer: Tokenizer) -> list[str]:
    """Draws texts of all lengths from whole words, because models and tokenizer files cut long texts at different ends.

    A whole word is one piece. Special pieces such as [SEP], which decide where a model cuts a text, are no words.
    """
    pieces = sorted(tokenizer.get_vocab())
    known = [piece.removesuffix(WORD_END) for piece in pieces if piece.endswith(WORD_END)] or pieces
    words = [word for word in known if word.isalpha()]
    words = [word for word in words if word.isascii()] or words
    rng, lengths = np.random.default_rng(0), np.linspace(1, longest_text(tokenizer) - 2, CHECKED).astype(int)
    return [" ".join(rng.choice(words, length)) for length in lengths]


@torch.no_grad()
def _check(adapter: Adapter, towers: OnnxTowers) -> Parity:
    """Compares written towers with their model on random images, and on random words in texts of all lengths."""
    side = adapter.image_size
    images = np.random.default_rng(0).standard_normal((CHECKED, 3, side, side)).astype(np.float32)
    texts = _random_texts(adapter.text_tokenizer())
    with without_dropout(adapter.model):
        ours = (
            adapter.embed_images(torch.from_numpy(images)).cpu().numpy(),
            adapter.embed_texts(texts).cpu().numpy(),
        )
    found = parity(ours, (towers.embed_images(images), towers.embed_texts(texts)))
    if not found.is_good:
        raise UserError(
            f"The exported towers do not agree with the model ({found}), so nothing was written: export with the "
            "versions of torch and onnxruntime in constraints.txt."
        )
    return found
