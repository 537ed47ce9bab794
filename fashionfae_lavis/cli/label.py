"""`fashionfae label`: names missing attributes of products, or lists values that the photograph contradicts."""

from pathlib import Path
from typing import Any

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.command import add_table_options, parse_pairs

SHOWN = 20  # doubts in the terminal


def add_parser(commands) -> None:
    """Declares the arguments."""
    text = "Name missing attributes of a table's products from their photographs and texts, with a confidence."
    parser = commands.add_parser("label", help=text, description=text)
    parser.add_argument("table", metavar="TABLE", help="the product table, as `fashionfae prepare catalogue` reads it")
    parser.add_argument("--model", required=True, help="a checkpoint, or a model of LAVIS such as clip:ViT-B-32")
    parser.add_argument("--out", required=True, metavar="FILE", help="CSV file to write")
    parser.add_argument(
        "--images", metavar="DIR", help="the folder that image paths are relative to (default: TABLE's)"
    )
    add_table_options(parser, "the attributes to name, with their columns: colour=Primary_Colour,material")
    parser.add_argument(
        "--catalogue",
        metavar="DIR",
        help="a prepared catalogue whose attributes give the values and whose validation products calibrate "
        "(default: the table's products that have a value)",
    )
    parser.add_argument(
        "--recogniser",
        dest="recognisers",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a checkpoint of the task fashion_recognition for an attribute; may be repeated",
    )
    parser.add_argument(
        "--least-confidence",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="leave less certain values empty (default: 0)",
    )
    parser.add_argument(
        "--audit",
        action="store_true",
        help="instead of labels, write a list of the values that the photograph contradicts, most certain first",
    )
    parser.add_argument("--curve", metavar="PNG", help="draw the share of wrong labels against the share of labels")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.set_defaults(run=run)


def run(
    table: str,
    model: str,
    out: str,
    images: str | None,
    columns: list[str],
    attributes: list[str],
    catalogue: str | None,
    recognisers: list[str],
    least_confidence: float,
    audit: bool,
    curve: str | None,
    device: str,
    group: list[str],
    **options: Any,
) -> None:
    """Fits a labeller, prints its figures, and writes the labelled table or the doubts."""
    target = _checked_target(Path(out), Path(table))
    if curve:
        _check_file("--curve", Path(curve), ".png")
    if not 0 <= least_confidence <= 1:
        raise UserError(f"--least-confidence is {least_confidence}, but must be between 0 and 1.")
    if group:
        raise UserError("--group merges rows, and label keeps them: leave it out.")
    from fashionfae_lavis.prepare.attributes import attribute_name
    from fashionfae_lavis.reports.labels import labels_table, weak_attributes
    from fashionfae_lavis.search.encoder import Encoder
    from fashionfae_lavis.search.labels import Labeller
    from fashionfae_lavis.search.product_table import ProductTable
    from fashionfae_lavis.search.value_scores import Recogniser, ValueScorer

    asked = {
        attribute_name(name): column for name, column in parse_pairs("--attributes", attributes, alone=True).items()
    }
    if not asked:
        raise UserError("--attributes is missing: name the attributes to label, such as --attributes colour,material.")
    shared = next((column for column in asked.values() if list(asked.values()).count(column) > 1), None)
    if shared:
        raise UserError(f"--attributes: several attributes have the column {shared}: name it once.")
    heads = {attribute_name(name): path for name, path in parse_pairs("--recogniser", recognisers).items()}
    unasked = next((name for name in heads if name not in asked), None)
    if unasked:
        raise UserError(f"--recogniser {unasked}=...: add {unasked} to --attributes.")
    folder = Path(images) if images else Path(table).parent
    products = ProductTable(table, folder, parse_pairs("--map", columns), asked, needs_columns=not catalogue, **options)
    if not audit:
        products.labelled_columns()  # reports a column name that is taken, before the work begins
    held_out, known = _held_out(catalogue, products, list(asked))
    scorer = ValueScorer(
        Encoder.open(model, device),
        {name: Recogniser(name, path, device) for name, path in heads.items()},
        text=not audit,
    )
    labeller = Labeller.fit(scorer, held_out, list(asked), known)
    figures = labeller.figures()
    print(labels_table(figures))
    for name in weak_attributes(figures):
        print(f"{name}: hardly better than always naming the most frequent value, so do not rely on the result")
    if not catalogue:
        print(
            f"calibrated on products of {table}: if the model was trained on them, these figures are too good; "
            "--catalogue DIR calibrates on held-out products"
        )
    if curve:
        _draw(labeller, Path(curve))
    if audit:
        _audit(labeller, products, target)
    else:
        _label(labeller, products, target, least_confidence)


def _check_file(option: str, path: Path, suffix: str) -> None:
    """Raises UserError if a file cannot be written, before the work begins."""
    if path.suffix.lower() != suffix or path.is_dir():
        raise UserError(f"{option} {path} must be a {suffix} file: give it such a name.")
    if not path.parent.is_dir():
        raise UserError(f"{option} {path}: there is no folder {path.parent}; create it, or use another one.")


def _checked_target(out: Path, table: Path) -> Path:
    _check_file("--out", out, ".csv")
    if out.resolve() == table.resolve():
        raise UserError(f"--out {out} is the table itself, which is never changed: give another file.")
    return out


def _held_out(catalogue: str | None, products: Any, names: list[str]) -> tuple[Any, dict[str, list[str]] | None]:
    """Returns the products that calibrate and, with a catalogue, the values of all its products."""
    if not catalogue:
        return products, None
    from fashionfae_lavis.datasets.datasets.catalogue_file import read_catalogue

    splits = read_catalogue(catalogue)
    if "val" not in splits:
        raise UserError(f"--catalogue {catalogue} has no validation products: prepare it with --validation 0.1.")
    shared = [name for name in names if name in splits["val"].texts]
    return splits["val"], {name: [value for file in splits.values() for value in file.texts[name]] for name in shared}


def _draw(labeller: Any, path: Path) -> None:
    from fashionfae_lavis.reports.labels import draw_risk_coverage
    from fashionfae_lavis.search.calibration import risk_coverage

    curves = {name: risk_coverage(one.confidence, one.hits)[1:] for name, one in labeller.attributes.items()}
    draw_risk_coverage(curves, path)
    print(f"{path}: written")


def _label(labeller: Any, products: Any, out: Path, least: float) -> None:
    from fashionfae_lavis.search.labels import label_products

    labels, unreadable = label_products(labeller, products)
    kept = {
        i: {name: label for name, label in found.items() if label.confidence >= least} for i, found in labels.items()
    }
    lost = products.write_labelled(kept, out)
    written, all_labels = (sum(map(len, each.values())) for each in (kept, labels))
    print(f"{out}: written; {written} values of {sum(map(bool, kept.values()))} products were named")
    if written < all_labels:
        print(f"  {all_labels - written} values are less certain than {least} and stay empty")
    if unreadable:
        print(f"  {unreadable} products that lack a value have no readable photograph")
    if lost:
        print(f"  {lost} rows of {products.path} cannot be read and are left out")


def _audit(labeller: Any, products: Any, out: Path) -> None:
    from fashionfae_lavis.reports.tables import text_table
    from fashionfae_lavis.search.label_audit import audit, write_doubts

    doubts = audit(labeller, products)
    write_doubts(doubts, products, out)
    print(f"{out}: written; {len(doubts)} values differ from what the photograph shows, most certain first")
    rows = [
        [products.ids[one.product], one.attribute, one.given, one.seen, f"{100 * one.certainty:.2f} %"]
        for one in doubts[:SHOWN]
    ]
    if rows:
        print(text_table(["id", "attribute", "given", "seen", "certainty"], rows))
