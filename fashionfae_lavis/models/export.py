"""Export of a checkpoint's weights and architecture, without the training state."""

from fashionfae_lavis.checkpoints import read_checkpoint, save_safetensors


def export_weights(checkpoint: str, path: str) -> None:
    """Writes the weights and model configuration of a checkpoint to a file that `load_model` opens.

    Args:
        checkpoint: checkpoint of a run.
        path: file to write, .safetensors.

    Raises:
        UserError: the checkpoint cannot be read, or the file cannot be written.
    """
    content = read_checkpoint(checkpoint)
    model = dict(content.get("config", {}).get("model", {}))
    # The run's path of the image tokenizer is useless elsewhere, and the checkpoint holds its weights.
    model["image_tokenizer"] = {k: v for k, v in model.get("image_tokenizer", {}).items() if k != "weights"}
    save_safetensors(content["model"], {"model": model}, path)
