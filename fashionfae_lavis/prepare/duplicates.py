"""Finds products that show the same photograph: equal files, or pictures that differ no more than by compression.

Pictures are compared by a perceptual hash of their brightness (pHash, 256 bits, the package imagehash), so photographs
that differ only in colour count as the same. Products that are connected by such pairs form a group.
"""

from array import array
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

SIDE = 16  # of the matrix of bits
WORDS = 8  # of 32 bits
# Hashes that differ in fewer bits than there are words have a word in common, by which they are found. In 300
# photographs of a shop, JPEG quality 50 or half the size changed at most 8 bits, and in nearly all at most 6. Different
# photographs differed in 16 bits or more.
DISTANCE = WORDS - 1
_ONES = np.array([byte.bit_count() for byte in range(256)], dtype=np.uint8)


def fingerprint(path: str | Path, photograph: Image.Image) -> tuple[bytes, bytes]:
    """Returns the digest of an image file (16 bytes) and the perceptual hash of its picture (32 bytes)."""
    digest = blake2b(digest_size=16)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    bits = imagehash.phash(photograph, hash_size=SIDE).hash
    # Each word has every eighth bit, because neighbouring bits are often equal in different pictures.
    return digest.digest(), np.packbits(bits.reshape(-1, WORDS).T).tobytes()


@dataclass
class Groups:
    """Groups of products that show the same photograph.

    Attributes:
        labels: (N,), the group of each product; most groups have one product.
        identical: number of products that share a file, byte by byte, with another product.
        near: number of further products whose photograph nearly equals one of another product.
    """

    labels: NDArray[np.int64]
    identical: int
    near: int

    def sizes(self) -> NDArray[np.int64]:
        """Returns the number of products in the group of each product, (N,)."""
        return np.bincount(self.labels)[self.labels] if len(self.labels) else self.labels

    def leaks(self, is_train: NDArray[np.bool_]) -> int:
        """Returns how many products outside of training are in a group with one in training."""
        in_train = np.bincount(self.labels[is_train], minlength=len(self.labels)) > 0
        return int((~is_train & in_train[self.labels]).sum())


@dataclass
class Fingerprints:
    """The fingerprints of all photographs of a catalogue: 56 bytes each."""

    digests: bytearray = field(default_factory=bytearray)
    hashes: bytearray = field(default_factory=bytearray)
    products: "array[int]" = field(default_factory=lambda: array("Q"))

    def add(self, product: int, found: tuple[bytes, bytes]) -> None:
        """Adds a photograph of a product, which is given by its number."""
        self.digests += found[0]
        self.hashes += found[1]
        self.products.append(product)

    def groups(self, products: int) -> Groups:
        """Groups this number of products."""
        owner = np.array(self.products, dtype=np.int64)
        equal = _equal(np.frombuffer(self.digests, dtype="V16"))
        near = _near(np.frombuffer(self.hashes, dtype=np.uint32).reshape(-1, WORDS))
        sharing = _sharing(owner, equal, products)
        both = owner[np.concatenate([equal, near])]
        graph = coo_matrix((np.ones(len(both)), both.T), shape=(products, products))
        labels = connected_components(graph, directed=False)[1].astype(np.int64)
        groups = Groups(labels, int(sharing.sum()), 0)
        groups.near = int(((groups.sizes() > 1) & ~sharing).sum())
        return groups


def _sharing(owner: NDArray[np.int64], pairs: NDArray[np.int64], products: int) -> NDArray[np.bool_]:
    """Returns which products share a photograph of these pairs with another product."""
    left, right = owner[pairs].reshape(-1, 2).T
    sharing = np.zeros(products, dtype=bool)
    sharing[np.concatenate([left[left != right], right[left != right]])] = True
    return sharing


def _equal(values: NDArray) -> NDArray[np.int64]:
    """Returns pairs (P, 2) of indices with equal values; the pairs connect all equal values."""
    order = np.argsort(values, kind="stable")
    same = values[order[1:]] == values[order[:-1]]
    return np.stack([order[:-1][same], order[1:][same]], axis=1)


def _near(hashes: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Returns pairs (P, 2) of indices that connect all hashes (N, WORDS) with at most `DISTANCE` different bits."""
    pairs = [_equal(hashes.view(f"V{4 * WORDS}").ravel())]
    _, kept = np.unique(hashes, axis=0, return_index=True)
    for word in range(WORDS):
        order = kept[np.argsort(hashes[kept, word], kind="stable")]
        words = hashes[order, word]
        left, step = np.arange(len(order)), 1
        while True:  # compares each hash with those that follow and have the same word
            left = left[left + step < len(order)]
            left = left[words[left] == words[left + step]]
            if not len(left):
                break
            here, there = order[left], order[left + step]
            bits = _ONES[(hashes[here] ^ hashes[there]).view(np.uint8)].sum(axis=1)
            pairs.append(np.stack([here, there], axis=1)[bits <= DISTANCE])
            step += 1
    return np.concatenate(pairs)
