"""Export of a checkpoint's weights and architecture, and of the two towers for other runtimes."""

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from fashionfae_lavis.checkpoints import read_checkpoint, save_safetensors
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import make_folder, replacing
from fashionfae_lavis.models.configuration import processing_of
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
from fashionfae_lavis.models.retrieval import FashionRetrieval
from fashionfae_lavis.models.saving import without_paths
from fashionfae_lavis.models.vocabulary import carried, load_tokenizer
from fashionfae_lavis.text.product_text import prompt_template
from fashionfae_lavis.text.word_pieces import Text, ordinary_pieces

CHECKED = 32  # images and texts that exported towers are checked on
EXAMPLES, PIECES = 2, 8  # size of the batch that is traced; export fixes sizes of 0 and 1


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
    """The image half of a retrieval model, for `torch.jit.trace`, `torch.export` and ONNX."""

    inputs = ("images",)

    def __init__(self, model: FashionRetrieval):
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, S, S) to unit-length embeddings (B, D)."""
        return F.normalize(self.model.image_embedding(self.model.image_encoder(images)), dim=-1)

    def example(self) -> tuple[Tensor, ...]:
        """Returns inputs to trace with."""
        side = self.model.image_size
        return (torch.zeros(EXAMPLES, 3, side, side, device=self.model.device),)

    def dynamic(self) -> dict[str, Any]:
        """Returns the dimensions of the inputs that may vary."""
        return {"images": {0: Dim("batch")}}


class TextTower(nn.Module):
    """The text half of a retrieval model, for `torch.jit.trace`, `torch.export` and ONNX."""

    inputs = ("input_ids", "attention_mask")

    def __init__(self, model: FashionRetrieval):
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Maps ids and mask (B, L) of texts, see `FashionEncoders.tokenize`, to unit-length embeddings (B, D)."""
        return F.normalize(self.model.text_embedding(Text(input_ids, attention_mask)), dim=-1)

    def example(self) -> tuple[Tensor, ...]:
        """Returns inputs to trace with."""
        ids = torch.zeros(EXAMPLES, PIECES, dtype=torch.long, device=self.model.device)
        return ids, torch.ones_like(ids)

    def dynamic(self) -> dict[str, Any]:
        """Returns the dimensions of the inputs that may vary; one `Dim` makes the same size of both inputs."""
        sizes = {0: Dim("batch"), 1: Dim("length", max=self.model.max_length)}
        return dict.fromkeys(self.inputs, sizes)


@torch.no_grad()
def export_program(tower: ImageTower | TextTower) -> ExportedProgram:
    """Exports a tower with `torch.export`, for any batch size and, of texts, any length up to `max_length`."""
    with tower.model.without_dropout():
        return torch.export.export(tower, tower.example(), dynamic_shapes=tower.dynamic())


def export_onnx(model: nn.Module, folder: str | Path) -> Parity:
    """Writes both towers of a retrieval or pre-training model as ONNX, for any batch size and text length.

    `image.onnx` maps `images` (B, 3, S, S) and `text.onnx` maps `input_ids` and `attention_mask` (B, L) to `embeddings`
    (B, D) of unit length, whose dot product is the cosine similarity. `tokenizer.json` is the vocabulary with padding
    and the model's longest length, for the package `tokenizers`. `processing.json` says how to prepare both inputs.

    Args:
        model: the model.
        folder: folder to write to; created if missing.

    Returns:
        How well the files agree with the model, on random images and words.

    Raises:
        UserError: the model has no embeddings of both sides, the packages for ONNX are not installed, a file cannot be
            written, or the files do not agree with the model; files of an earlier export then stay as they are.
    """
    if not isinstance(model, FashionRetrieval):
        raise UserError(
            f"{type(model).__name__} has no image and text tower to export: use a FashionFAE retrieval or pre-training "
            "model."
        )
    require_onnx("onnx", "onnxscript", "onnxruntime")
    folder = Path(folder)
    make_folder(folder)
    towers: dict[str, ImageTower | TextTower] = {"image": ImageTower(model), "text": TextTower(model)}
    with replacing_together(folder, FILES) as written:
        for tower, path in zip(towers.values(), (written / "image.onnx", written / "text.onnx"), strict=True):
            _write_onnx(tower, path)
        _write_tokenizer(model, written / "tokenizer.json")
        _write_processing(model, written / "processing.json")
        found = _check(model, OnnxTowers(written))
    for file in INT8:  # of an earlier model
        (folder / file).unlink(missing_ok=True)
    return found


@torch.no_grad()
def _write_onnx(tower: ImageTower | TextTower, path: Path) -> None:
    with tower.model.without_dropout(), warnings.catch_warnings():
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


def _write_tokenizer(model: FashionRetrieval, path: Path) -> None:
    pieces = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
    pieces.enable_truncation(model.max_length)
    pieces.enable_padding(pad_id=model.tokenizer.pad_token_id, pad_token=model.tokenizer.pad_token)
    with replacing(path) as temporary:
        temporary.write_text(pieces.to_str(), encoding="utf-8")


def _write_processing(model: FashionRetrieval, path: Path) -> None:
    prefix = f"{' '.join(prompt_template('description'))} "
    content = {
        "image": model.processing()["vis_processor"]["eval"],
        "text": {"prefix": prefix, "max_length": model.max_length},
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _random_texts(model: FashionRetrieval) -> list[str]:
    """Draws texts of all lengths, without special pieces: a [SEP] decides what the model cuts off a long text."""
    rng = np.random.default_rng(0)
    words = sorted(model.tokenizer.convert_ids_to_tokens(ordinary_pieces(model.tokenizer).tolist()))
    return [" ".join(rng.choice(words, length)) for length in np.linspace(1, model.max_length, CHECKED).astype(int)]


@torch.no_grad()
def _check(model: FashionRetrieval, towers: OnnxTowers) -> Parity:
    """Compares written towers with their model on random images, and on random words in texts of all lengths."""
    side = model.image_size
    images = np.random.default_rng(0).standard_normal((CHECKED, 3, side, side)).astype(np.float32)
    texts = _random_texts(model)
    with model.without_dropout():
        samples = {"image": torch.from_numpy(images), "text_input": texts}
        ours = (
            model.extract_features(samples, mode="image").image_embeds_proj[:, 0].cpu().numpy(),
            model.extract_features(samples, mode="text").text_embeds_proj[:, 0].cpu().numpy(),
        )
    found = parity(ours, (towers.embed_images(images), towers.embed_texts(texts)))
    if not found.is_good:
        raise UserError(
            f"The exported towers do not agree with the model ({found}), so nothing was written: export with the "
            "versions of torch and onnxruntime in constraints.txt."
        )
    return found
