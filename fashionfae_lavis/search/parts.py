"""Finished parts of an embedding, kept on disk until it is complete, so that a killed command resumes.

A part is named by a digest of the model and of its photographs' paths, sizes and times of change. One made of other
photographs, or by another model, is never found.
"""

import hashlib
import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from fashionfae_lavis.files import replacing

OWN_FILES = re.compile(r"[0-9a-f]{32}\.npz(\.[0-9a-f]+\.tmp)?|\.lock(\.pid)?")  # in the folder of the parts


@dataclass(frozen=True, eq=False)
class Part:
    """The vectors of B photographs.

    Attributes:
        rows: unit-length vectors (B, dim), 0 where there is a problem.
        names: (B,), the photographs' files below their folder.
        problems: (B,), why a photograph cannot be used, "" if it can.
    """

    rows: NDArray[np.float32]
    names: NDArray[np.str_]
    problems: NDArray[np.str_]

    @classmethod
    def joined(cls, parts: Sequence["Part"]) -> "Part":
        """Joins parts in their order."""
        rows, names, problems = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "names", "problems")
        )
        return cls(rows, names, problems)


@dataclass(frozen=True)
class Parts:
    """The folder of the parts of one embedding.

    Attributes:
        path: the folder.
        digest: the model's digest.
        dim: length of a vector.
    """

    path: Path
    digest: str
    dim: int

    def file(self, images: Sequence[str], folder: Path) -> Path:
        """Returns the file of the part with these photographs, which are relative to `folder`."""
        described = [self.digest, str(folder.absolute()), [[name, *_state(folder / name)] for name in images]]
        return self.path / f"{hashlib.sha256(json.dumps(described).encode()).hexdigest()[:32]}.npz"

    @staticmethod
    def write(file: Path, part: Part) -> None:
        """Writes a part, atomically."""
        with replacing(file) as temporary, open(temporary, "wb") as opened:
            np.savez(opened, rows=part.rows, names=part.names, problems=part.problems)

    def read(self, file: Path) -> Part | None:
        """Reads a part; returns None if it is missing or damaged."""
        with suppress(OSError, ValueError, KeyError, EOFError, BadZipFile), np.load(file, allow_pickle=False) as found:
            part = Part(found["rows"], found["names"], found["problems"])
            if part.rows.shape == (len(part.names), self.dim):
                return part
        return None

    def remove(self) -> None:
        """Removes all parts, and the folder if it holds no file of somebody else."""
        with suppress(OSError):
            for file in self.path.iterdir():
                if OWN_FILES.fullmatch(file.name):
                    file.unlink(missing_ok=True)
            self.path.rmdir()


def _state(path: Path) -> tuple[int, int]:
    """Returns the size and the time of the last change of a file, zeros if it is missing."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return 0, 0
    return found.st_size, found.st_mtime_ns
