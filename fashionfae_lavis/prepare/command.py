"""The options of `fashionfae prepare`. What a command needs is imported when it runs."""

from fashionfae_lavis.errors import UserError


def add_prepare(commands) -> None:
    """The subcommand `prepare` with one of its own for each kind of data."""
    text = "Make real data ready for the builders: check them, and write an index."
    kinds = commands.add_parser("prepare", help=text, description=text).add_subparsers(required=True, metavar="DATA")
    _add_catalogue(kinds)
    _add_fashion_mnist(kinds)
    _add_fashiongen(kinds)
    _add_fashioniq(kinds)


def _add_catalogue(kinds) -> None:
    text = "Any product table (CSV, TSV, JSON Lines, Parquet) with a folder of images."
    parser = kinds.add_parser("catalogue", help=text, description=text)
    parser.add_argument("--table", required=True, metavar="FILE")
    parser.add_argument("--images", required=True, metavar="DIR", help="the folder that the images' names start from")
    parser.add_argument("--out", default="catalogue", metavar="DIR", help="where to write (default: ./catalogue)")
    parser.add_argument(
        "--map",
        dest="columns",
        action="append",
        default=[],
        metavar="PART=COLUMN,...",
        help="which column is id, title, description, image, split; those so called need not be named",
    )
    parser.add_argument(
        "--attributes",
        action="append",
        default=[],
        metavar="NAME[=COLUMN],...",
        help="what the model is to learn about: colour=Primary_Colour,material",
    )
    parser.add_argument("--pattern", help="image files by name, where no column lists them: '{sku}_*.jpg'")
    parser.add_argument(
        "--validation", type=float, default=0.1, metavar="SHARE", help="of the products, to evaluate on (default 0.1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="draws the validation products (default 0)")
    parser.add_argument(
        "--max-bad", type=float, default=0.05, metavar="SHARE", help="of the rows that may be unusable (default 0.05)"
    )
    parser.set_defaults(run=_catalogue)


def _catalogue(columns: list[str], attributes: list[str], **options) -> None:
    from fashionfae_lavis.prepare.catalogue import prepare_catalogue

    pairs = _pairs("--map", columns), _pairs("--attributes", attributes, alone=True)
    print_summary(prepare_catalogue(columns=pairs[0], attributes=pairs[1], **options))


def _add_fashion_mnist(kinds) -> None:
    text = "Fashion-MNIST's 70,000 photographs (Debian's package dataset-fashion-mnist), as a catalogue."
    parser = kinds.add_parser("fashion-mnist", help=text, description=text)
    parser.add_argument("--source", metavar="DIR", help="folder of the four .gz files (default: where Debian has them)")
    parser.add_argument("--out", default="fashion_mnist", metavar="DIR", help="default: ./fashion_mnist")
    parser.set_defaults(run=_fashion_mnist)


def _fashion_mnist(source: str | None, out: str) -> None:
    from fashionfae_lavis.prepare.fashion_mnist import SOURCE, prepare_fashion_mnist

    print_summary(prepare_fashion_mnist(source or SOURCE, out))


def _add_fashiongen(kinds) -> None:
    text = "FashionGen's two HDF5 files: check them, index them, or turn them into WebDataset shards."
    parser = kinds.add_parser("fashiongen", help=text, description=text)
    parser.add_argument("--root", required=True, metavar="DIR", help="folder of the two files")
    parser.add_argument("--check", action="store_true", help="only say what the files hold; write nothing")
    parser.add_argument("--to", choices=["shards"], help="write tar files, for object storage or a slow disk")
    parser.add_argument("--out", metavar="DIR", help="where the shards go (default: beside the files)")
    parser.set_defaults(run=_fashiongen)


def _fashiongen(root: str, check: bool, to: str | None, out: str | None) -> None:
    from fashionfae_lavis.prepare import fashiongen

    found, notes = fashiongen.check_fashiongen(root)
    for file in found:
        print(fashiongen.describe(file))
    for note in notes:
        print(f"note: {note}")
    if check:
        return
    if to == "shards":
        from fashionfae_lavis.prepare.fashiongen_shards import write_shards

        for file in found:
            print(f"written: {write_shards(file.path, out or root)}")
        print(f"train with datasets.fashiongen.build_info.images.storage={out or root}")
    else:
        for path in fashiongen.index_fashiongen(root):
            print(f"written: {path}")


def _add_fashioniq(kinds) -> None:
    text = "FashionIQ: which of the images that its requests and lists name are there."
    parser = kinds.add_parser("fashioniq", help=text, description=text)
    parser.add_argument("--root", required=True, metavar="DIR", help="folder of captions, image_splits and images")
    parser.add_argument("--check", action="store_true", required=True, help="look, and list what is missing")
    parser.add_argument(
        "--missing", default="fashioniq_missing.txt", metavar="FILE", help="the list (default: ./fashioniq_missing.txt)"
    )
    parser.set_defaults(run=_fashioniq)


def _fashioniq(root: str, check: bool, missing: str) -> None:
    from fashionfae_lavis.prepare.fashioniq import check_fashioniq, write_missing

    found = check_fashioniq(root)
    for line in found:
        print(line.describe())
    if write_missing(found, missing):
        print(f"{missing}: the missing and damaged images, one a line")
        print("to do without them: --options datasets.fashioniq.allow_missing=True, after deleting the damaged ones")


def _pairs(option: str, given: list[str], alone: bool = False) -> dict[str, str]:
    """`a=b,c=d` -> {"a": "b", "c": "d"}; `alone`: a mere `a` stands for `a=a`."""
    pairs = {}
    for entry in filter(None, (entry.strip() for text in given for entry in text.split(","))):
        name, equals, column = (part.strip() for part in entry.partition("="))
        if not name or (equals and not column) or not (equals or alone):
            raise UserError(f"{option} takes {'NAME or ' if alone else ''}NAME=COLUMN, not {entry!r}.")
        if name in pairs:
            raise UserError(f"{option} names {name} twice.")
        pairs[name] = column or name
    return pairs


def print_summary(summary) -> None:
    """What a catalogue has, and what was left out of it."""
    products = ", ".join(f"{count} {split}" for split, count in summary.products.items())
    print(f"{summary.path}: {sum(summary.products.values())} products ({products}), {summary.images} images")
    for name, values in summary.values.items():
        print(f"  {name}: {values} values")
    if summary.respelled:
        print(f"  {summary.respelled} values were spelled otherwise before, and now as their first")
    if summary.decode_fallbacks:
        print(f"  {summary.decode_fallbacks} places were not UTF-8 and read as Windows-1252")
    if summary.unusable or summary.left_out:
        reasons = ", ".join(f"{count} {problem}" for problem, count in sorted(summary.problems.items()))
        print(f"  not used: {summary.unusable} of {summary.rows} rows{f' ({reasons})' if reasons else ''}")
        print(
            f"  and {summary.left_out} images of products that have others; {summary.path.parent}/rejected.csv has all"
        )
    print(f"train and evaluate with datasets: {{catalogue: {{root: {summary.path.parent}}}}}")
