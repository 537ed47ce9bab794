"""Write a checkpoint of a run as one safetensors file: weights and architecture, without the state of training.

    python -m fashionfae_lavis.models.export output/fashionfae/pretrain/<run>/checkpoint_last.pth mini.safetensors

`load_model("fashionfae", "mini.safetensors")` reads it.
"""

import sys

from fashionfae_lavis.checkpoints import read_checkpoint, save_safetensors
from fashionfae_lavis.errors import UserError


def export(checkpoint: str, path: str) -> None:
    """Write the weights of `checkpoint` to `path` (.safetensors).

    Raises:
        UserError: the checkpoint cannot be read or the file cannot be written.
    """
    content = read_checkpoint(checkpoint)
    model = dict(content.get("config", {}).get("model", {}))
    # Where the run found its parts means nothing elsewhere.
    model["image_tokenizer"] = {k: v for k, v in model.get("image_tokenizer", {}).items() if k != "weights"}
    save_safetensors(content["model"], {"model": model}, path)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m fashionfae_lavis.models.export CHECKPOINT.pth WEIGHTS.safetensors")
    try:
        export(*sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
