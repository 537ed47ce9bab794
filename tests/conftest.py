"""No test needs the network, a display, or what another run left in a cache."""

import os

import pytest

# Before anything imports the libraries that read these. Programs started by tests inherit them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# The models of the tests are tiny: more threads only get in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """An empty cache folder for the whole run of pytest."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["FASHIONFAE_CACHE"] = str(folder)
    return folder
