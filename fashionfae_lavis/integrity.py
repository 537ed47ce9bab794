"""Checks that a file of weights holds what was written, so that a flipped bit never loads in silence.

torch writes the CRC of each member into its zip archives but does not check it. safetensors has no checksum at all, so
this package writes a digest into the file's metadata.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch

DIGEST = "sha256"  # key of the digest in the metadata of a safetensors file
# What `zipfile` raises for damage of all kinds, such as an unknown compression or an encrypted member.
_DAMAGE = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, OSError)


def damaged_member(path: Path) -> str | None:
    """Finds the first member of a zip archive whose content does not match its CRC.

    Returns:
        The member, or "archive" if the archive cannot be read. None if all match, if the file is not a zip archive, or
        if it was written without CRCs, which torch can be told to do.
    """
    if not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            if not any(member.CRC for member in archive.infolist()):
                return None
            return archive.testzip()
    except _DAMAGE:
        return "archive"


def digest(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> str:
    """Computes the SHA-256 of names, dtypes, shapes, bytes and metadata.

    Args:
        tensors: name -> contiguous CPU tensor.
        metadata: the file's metadata; a digest in it is left out.
    """
    names = sorted(tensors)
    head = [
        [[name, str(tensors[name].dtype), list(tensors[name].shape)] for name in names],
        {key: value for key, value in metadata.items() if key != DIGEST},
    ]
    found = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for name in names:
        found.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
