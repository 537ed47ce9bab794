"""Images of an HDF5 dataset, read one at a time.

HDF5 inflates gzip chunks by zlib. Where each image is a chunk, as in FashionGen's files, ISA-L (package isal) inflates
it in half the time.
"""

import math

import h5py
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray


class HDF5Images:
    """The images of a dataset (N, H, W, 3) of uint8.

    Args:
        dataset: an open dataset, which this object keeps open.
    """

    def __init__(self, dataset: h5py.Dataset):
        self._dataset = dataset
        self._shape = dataset.shape[1:]
        filters = dataset.id.get_create_plist()
        gzip_alone = filters.get_nfilters() == 1 and filters.get_filter(0)[0] == h5py.h5z.FILTER_DEFLATE
        self._inflates = gzip_alone and dataset.chunks == (1, *self._shape)

    def __getitem__(self, row: int) -> NDArray[np.uint8]:
        """Returns the image (H, W, 3) in a row from 0 on; raises what h5py raises if it is damaged."""
        image = self._inflated(row) if self._inflates else None
        return self._dataset[row] if image is None else image

    def _inflated(self, row: int) -> NDArray[np.uint8] | None:
        """Returns the image; None if its chunk is not stored or not as expected, which HDF5 then handles."""
        size = math.prod(self._shape)
        try:
            skipped_filters, chunk = self._dataset.id.read_direct_chunk((int(row), 0, 0, 0))
            inflater = isal_zlib.decompressobj()
            pixels = inflater.decompress(chunk, size + 1)  # no more, whatever the chunk asks for
        except (OSError, RuntimeError, ValueError, isal_zlib.error):  # type: ignore[misc]  # its stub is wrong
            return None
        if skipped_filters or len(pixels) != size or not inflater.eof:
            return None
        return np.frombuffer(pixels, np.uint8).reshape(self._shape).copy()
