"""The packaged weights load in a new interpreter without a network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WEIGHTS = Path(__file__).parents[1] / "fashionfae_lavis" / "weights" / "mini.safetensors"

CODE = """
import socket, time
start = time.perf_counter()
def refuse(*args, **kwargs):
    raise OSError("network is unreachable")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from lavis.models import load_model
model = load_model("fashionfae", is_eval=True)
seconds = time.perf_counter() - start
import json, torch
texts = model.tokenize(["the image description is red dotted silk shirt"])
print(json.dumps({"seconds": seconds, "scale": model.scale.item(), "norm": model.text_embedding(texts).norm().item()}))
"""


def test_the_file_is_small():
    assert WEIGHTS.stat().st_size <= 16e6


@pytest.mark.slow
def test_it_loads_trained_and_offline():
    environment = {k: v for k, v in os.environ.items() if k not in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout.splitlines()[-1])
    assert abs(facts["norm"] - abs(facts["scale"])) < 1e-4
    assert facts["scale"] != 4.0  # it has been trained
