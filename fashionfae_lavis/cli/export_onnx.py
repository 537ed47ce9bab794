"""`fashionfae export-onnx`: writes the two towers of a model as ONNX files."""


def add_parser(commands) -> None:
    """Declares the arguments."""
    text = "Write the image and the text tower of a checkpoint as ONNX files, for any batch size and text length."
    parser = commands.add_parser("export-onnx", help=text, description=text)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a checkpoint, or mini, which ships with the package")
    parser.add_argument("folder", metavar="FOLDER", help="folder to write to")
    parser.set_defaults(run=run)


def run(checkpoint: str, folder: str) -> None:
    """Writes the files."""
    from lavis.models import load_model

    from fashionfae_lavis.models.export import export_onnx

    for path in export_onnx(load_model("fashionfae", checkpoint, is_eval=True), folder):
        print(f"{path}: written")
