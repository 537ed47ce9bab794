"""`fashionfae export-checkpoint`: converts a checkpoint of this package into the authors' layout."""

from fashionfae_lavis.cli.import_checkpoint import print_reasons


def add_parser(commands) -> None:
    """Declares the arguments."""
    text = "Convert a checkpoint of this package into the authors' layout."
    parser = commands.add_parser("export-checkpoint", help=text, description=text)
    parser.add_argument("source", metavar="IN", help="checkpoint of this package, .safetensors or .pth")
    parser.add_argument("target", metavar="OUT", help="file to write, .pth")
    parser.set_defaults(run=run)


def run(source: str, target: str) -> None:
    """Converts the checkpoint, then prints which weights were used, left out and filled in."""
    from fashionfae_lavis.models import conversion

    done = conversion.export_checkpoint(source, target)
    print(f"{source}: {done.arch}, {len(done.used) + len(done.left_out)} tensors")
    print(f"  used: {len(done.used)}")
    print_reasons("left out", done.left_out)
    print(f"{target}: written in the layout of the authors' {done.kind} model")
    print_reasons("filled in", done.filled)
