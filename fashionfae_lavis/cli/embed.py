"""`fashionfae embed`: embeds the photographs of a table, a prepared catalogue or a folder."""

from pathlib import Path

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.command import add_table_options, parse_pairs

SHOWN = 5  # skipped products that are named


def add_parser(commands) -> None:
    """Declares the arguments."""
    text = "Embed the photographs of a product table, a prepared catalogue or a folder, with any trained model."
    parser = commands.add_parser("embed", help=text, description=text)
    parser.add_argument(
        "path",
        metavar="INPUT",
        help="a table (CSV, TSV, Excel, JSON, JSON Lines, Parquet), a folder of `fashionfae prepare catalogue`, or a "
        "folder of photographs",
    )
    parser.add_argument(
        "--model",
        required=True,
        help="a checkpoint, a saved model, its id on the hub, or a model of LAVIS such as fashionfae or clip:ViT-B-32",
    )
    parser.add_argument(
        "--out", default="vectors.parquet", metavar="FILE", help="file to write, .parquet or .npz (vectors.parquet)"
    )
    parser.add_argument("--images", metavar="DIR", help="the folder that image paths are relative to (the table's)")
    add_table_options(parser, "the columns to write next to the vectors (default: all): colour=Primary_Colour,price")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.set_defaults(run=run)


def run(path: str, model: str, device: str, out: str, columns: list[str], attributes: list[str], **options) -> None:
    """Embeds and prints what was written and left out."""
    import time

    import torch.distributed as dist
    from omegaconf import OmegaConf

    from fashionfae_lavis.distributed import init_distributed
    from fashionfae_lavis.search.embedding import embed_products, report_of
    from fashionfae_lavis.search.encoder import Encoder
    from fashionfae_lavis.search.products import read_products
    from fashionfae_lavis.search.vectors import check_target

    target = Path(out)
    check_target(target)
    if Path(path).resolve() in (target.resolve(), report_of(target).resolve()):
        raise UserError(f"--out {out} would replace {path}, which is read: give another file.")
    of_attributes = parse_pairs("--attributes", attributes, alone=True)
    products = read_products(path, columns=parse_pairs("--map", columns), attributes=of_attributes, **options)
    encoder = Encoder.open(model, device)
    init_distributed(OmegaConf.create({"device": device}))
    try:
        start = time.perf_counter()
        embedded = embed_products(encoder, products, out)
        if embedded is not None:
            _print(embedded, out, len(products), time.perf_counter() - start)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _print(embedded, out: str, photographs: int, seconds: float) -> None:
    vectors, new = embedded.vectors, photographs - embedded.resumed
    print(f"{out}: {len(vectors.table)} products, vectors of length {vectors.dim}, digest {vectors.digest}")
    if vectors.columns:
        print(f"  columns: {', '.join(vectors.columns)}")
    resumed = f"; {embedded.resumed} had been embedded before" if embedded.resumed else ""
    print(f"  {new} photographs in {seconds:.1f} s, {new / seconds:.0f} per second{resumed}")
    for product in embedded.skipped[:SHOWN]:
        print(f"  skipped {product.id}: {' '.join(filter(None, (product.image, product.problem)))}")
    if embedded.report:
        print(f"  {len(embedded.skipped)} skipped in all; {embedded.report} lists them")
