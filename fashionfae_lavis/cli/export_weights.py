"""`fashionfae export-weights`: reduces the checkpoint of a run to its weights and configuration."""


def add_parser(commands) -> None:
    """Declares the arguments."""
    text = "Write the weights and configuration of a checkpoint to a safetensors file, without the training state."
    parser = commands.add_parser("export-weights", help=text, description=text)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="checkpoint of a run, such as checkpoint_last.pth")
    parser.add_argument("path", metavar="OUT", help="file to write, .safetensors")
    parser.set_defaults(run=run)


def run(checkpoint: str, path: str) -> None:
    """Writes the file."""
    from fashionfae_lavis.models.export import export_weights

    export_weights(checkpoint, path)
    print(f"{path}: written")
