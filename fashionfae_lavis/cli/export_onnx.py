"""`fashionfae export-onnx`: writes the two towers of a model as ONNX files and measures them."""

from pathlib import Path

from fashionfae_lavis.errors import UserError

COLUMNS = {"i2t_r1": "I2T R@1", "i2t_r10": "R@10", "t2i_r1": "T2I R@1", "t2i_r10": "R@10"}


def add_parser(commands) -> None:
    """Declares the arguments."""
    text = "Write the image and the text tower of a checkpoint as ONNX files, for any batch size and text length."
    parser = commands.add_parser("export-onnx", help=text, description=text)
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="a checkpoint, a saved model, or mini, which ships with the package"
    )
    parser.add_argument("folder", metavar="FOLDER", help="folder to write to")
    parser.add_argument("--int8", action="store_true", help="also write towers with 8-bit weights; needs --products")
    parser.add_argument(
        "--products",
        metavar="CATALOGUE",
        help="measure recall on these products: folder of a prepared catalogue, or a dataset such as fashiongen_mini",
    )
    parser.set_defaults(run=run)


def run(checkpoint: str, folder: str, int8: bool, products: str | None) -> None:
    """Writes the files, then prints how they agree with the model and what they retrieve."""
    if int8 and not products:
        raise UserError(
            "8-bit weights change what is found: name products to measure the loss on, with --products CATALOGUE.",
            ["--products", "fashiongen_mini"],
        )
    from fashionfae_lavis.evaluation.exported import products_of
    from fashionfae_lavis.models.export import export_onnx
    from fashionfae_lavis.models.onnx_towers import FILES, FLOAT, INT8, quantise
    from fashionfae_lavis.models.sharing import open_shared

    shared = open_shared(checkpoint)
    model = shared.model.eval()
    measured_on = products_of(products, shared.processing) if products else None
    found = export_onnx(model, folder, shared.processing)
    print(f"{folder}: {', '.join(FILES)} written")
    print(f"random images and words: {found}")
    kinds = {"ONNX": FLOAT}
    if int8:
        quantise(folder)
        kinds["ONNX, 8 bits"] = INT8
        print(f"{folder}: {', '.join(INT8)} written")
    if measured_on:
        _print_recalls(model, folder, kinds, *measured_on)


def _print_recalls(model, folder, kinds, split, loader) -> None:
    """Prints a table with the recalls of the model and of each kind of towers."""
    from fashionfae_lavis.evaluation.exported import measure_towers
    from fashionfae_lavis.models.adapters import adapt
    from fashionfae_lavis.models.onnx_towers import OnnxTowers

    towers = {name: OnnxTowers(Path(folder), files) for name, files in kinds.items()}
    measured = measure_towers(adapt(model), towers, loader)
    title = f"{len(loader.dataset)} images of {split}"
    print(f"\n{title:24}" + "".join(f"{heading:>9}" for heading in COLUMNS.values()))
    for name, result in measured.items():
        print(f"{name:24}" + "".join(f"{result.recalls[key]:9.2f}" for key in COLUMNS))
    for name in kinds:
        print(f"{name}: {measured[name].parity}")
