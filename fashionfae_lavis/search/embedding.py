"""Embeds products: worker processes decode, the model embeds, and finished parts are kept for resuming."""

import csv
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from lavis.common.dist_utils import get_world_size, is_main_process
from torch import Tensor
from torch.utils.data import Dataset

from fashionfae_lavis.datasets.loaders import evaluation_loader
from fashionfae_lavis.distributed import gather_objects, own_share
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import make_folder, replacing
from fashionfae_lavis.locks import hold
from fashionfae_lavis.prepare.image_checks import find_photograph
from fashionfae_lavis.prepare.texts import spreadsheet_cell
from fashionfae_lavis.search.encoder import Encoder
from fashionfae_lavis.search.parts import Part, Parts
from fashionfae_lavis.search.products import Products, Skipped, is_price
from fashionfae_lavis.search.vectors import Vectors, check_target
from fashionfae_lavis.threads import all_cores
from fashionfae_lavis.workers import progress_bar

BATCH = 64  # photographs that the model embeds at once
PART = 8 * BATCH  # photographs of a part; a multiple of BATCH
MOST_WORKERS = 16  # processes that decode
PATIENCE = 20  # seconds to wait for the lock; the workers of a killed command need up to five seconds to end


@dataclass(frozen=True, eq=False)
class Embedded:
    """The result of `embed_products`.

    Attributes:
        vectors: what was written.
        skipped: the products that were left out.
        resumed: number of photographs that an interrupted command had already embedded.
        report: the file that lists the skipped products; None if there are none.
    """

    vectors: Vectors
    skipped: list[Skipped]
    resumed: int
    report: Path | None


def embed_products(encoder: Encoder, products: Products, out: str | Path) -> Embedded | None:
    """Embeds the photograph of each product and writes the vectors with the products' columns.

    Photographs that cannot be read are skipped. Finished parts are kept in the folder `<out>.parts` until the output is
    written, so the same call continues one that was killed. In a process group, each process embeds every n-th part and
    the first process writes; all of them must see the same folder.

    Args:
        encoder: the model.
        products: the products.
        out: file to write, .parquet or .npz, which replaces an older one only when everything is embedded.

    Returns:
        The result; None on other processes than the first.

    Raises:
        UserError: the file cannot be written, another process is writing it, or no photograph can be used.
    """
    out = Path(out)
    check_target(out)
    parts = Parts(out.with_name(f"{out.name}.parts"), encoder.digest, encoder.dim)
    make_folder(parts.path)
    lock = hold(parts.path, ".lock", "Another `fashionfae embed` is running", "use another --out", PATIENCE)
    with lock if is_main_process() else nullcontext():
        pieces = [products.images[start : start + PART] for start in range(0, len(products), PART)]
        named = [parts.file(images, products.folder) for images in pieces] if is_main_process() else []
        files = gather_objects(named)[0]
        resumed = _embed_missing(encoder, products.folder, list(zip(files, pieces, strict=True)), parts)
        resumed = sum(gather_objects(resumed))  # waits for all processes
        if not is_main_process():
            return None
        vectors, skipped = _joined(encoder, products, [_finished(parts, file) for file in files])
        vectors.write(out)
        report = _write_report(skipped, out)
        parts.remove()
    return Embedded(vectors, skipped, resumed, report)


def _embed_missing(encoder: Encoder, folder: Path, pieces: list[tuple[Path, list[str]]], parts: Parts) -> int:
    """Embeds this process's unfinished parts; returns the number of photographs in its finished ones."""
    own = own_share(pieces)
    missing = [(file, images) for file, images in own if parts.read(file) is None]
    names = [name for _, images in missing for name in images]
    loader = evaluation_loader(
        Photographs(folder, names, encoder.image_processor), BATCH, decoding_workers(), encoder.device.type == "cuda"
    )
    processes = get_world_size()
    description = "embedding" if processes == 1 else f"embedding, process 1 of {processes}"
    with progress_bar(len(names), description, "photograph") if is_main_process() else nullcontext() as bar:
        batches = iter(loader)
        for file, images in missing:
            embedded = []
            for _ in range(0, len(images), BATCH):
                batch = _next(batches)
                embedded.append(_embed(encoder, batch))
                if bar:
                    bar.update(len(batch.names))
            parts.write(file, Part.joined(embedded))
    return sum(len(images) for _, images in own) - len(names)


def decoding_workers() -> int:
    """Returns the number of worker processes that decode for this process: its share of the machine's processors."""
    return max(1, min(MOST_WORKERS, all_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1))))


class Decoded(NamedTuple):
    """A batch of B photographs.

    Attributes:
        images: processed photographs (U, 3, S, S), of those that can be used; None if there are none.
        names: the B files below their folder.
        problems: B problems, "" for a photograph that can be used.
    """

    images: Tensor | None
    names: list[str]
    problems: list[str]


class Photographs(Dataset):
    """Processed photographs. An item is the tensor (None if unusable), the file's name, and the problem.

    Args:
        folder: the folder that they are in.
        names: their paths below it.
        image_processor: maps an RGB image to a tensor (3, S, S).
    """

    def __init__(self, folder: Path, names: Sequence[str], image_processor: Any):
        self.folder, self.names, self.image_processor = folder, names, image_processor

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Tensor | None, str, str]:
        name, problem, photograph = find_photograph(self.names[index], self.folder)
        return (None if photograph is None else self.image_processor(photograph)), name, problem

    @staticmethod
    def collater(items: list[tuple[Tensor | None, str, str]]) -> Decoded:
        """Makes a batch of items."""
        images = [image for image, _, _ in items if image is not None]
        return Decoded(
            torch.stack(images) if images else None, [item[1] for item in items], [item[2] for item in items]
        )


def _next(batches: Any) -> Decoded:
    try:
        return next(batches)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise UserError(
            "A process that decodes photographs died, perhaps for lack of memory: free some and run the command again, "
            "which continues."
        ) from error


def _embed(encoder: Encoder, batch: Decoded) -> Part:
    rows = np.zeros((len(batch.names), encoder.dim), np.float32)
    if batch.images is not None:
        rows[[not problem for problem in batch.problems]] = encoder.embed_processed(batch.images)
    if not np.isfinite(rows).all():
        raise UserError(f"{encoder.name} gives embeddings that are NaN or infinite: use an earlier checkpoint.")
    return Part(rows, np.array(batch.names), np.array(batch.problems))


def _finished(parts: Parts, file: Path) -> Part:
    part = parts.read(file)
    if part is None:
        raise UserError(f"{file} is missing: choose an --out that all processes can see, and run the command again.")
    return part


def _joined(encoder: Encoder, products: Products, found: list[Part]) -> tuple[Vectors, list[Skipped]]:
    """Joins parts and columns into the table of usable products; returns it, and the products left out."""
    whole = Part.joined(found)
    usable = whole.problems == ""
    unreadable = [
        Skipped.of(products.ids[i], str(whole.names[i]), str(whole.problems[i])) for i in np.flatnonzero(~usable)
    ]
    skipped = [*products.skipped, *unreadable]
    if not usable.any():
        raise UserError(f"None of {len(usable)} photographs can be used; the first one {unreadable[0].problem}.")
    kept = pa.array(usable)
    kinds = {name: pa.float64() if is_price(name) else pa.string() for name in products.columns}
    vectors = Vectors.of(
        ids=pa.array(products.ids, pa.string()).filter(kept),
        images=[os.path.abspath(products.folder / str(name)) for name in whole.names[usable]],
        rows=whole.rows[usable],
        columns={name: pa.array(values, kinds[name]).filter(kept) for name, values in products.columns.items()},
        model=encoder.name,
        digest=encoder.digest,
    )
    return vectors, skipped


def report_of(out: Path) -> Path:
    """Returns the file next to the vectors that lists skipped products."""
    return out.with_name(f"{out.stem}.skipped.csv")


def _write_report(skipped: list[Skipped], out: Path) -> Path | None:
    """Writes the list of skipped products, or removes an older one if there are none."""
    path = report_of(out)
    if not skipped:
        path.unlink(missing_ok=True)
        return None
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Skipped._fields)
        writer.writerows(map(spreadsheet_cell, row) for row in skipped)
    return path
