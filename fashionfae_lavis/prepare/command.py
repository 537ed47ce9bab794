"""The options of `fashionfae prepare`. A command imports its code only when it runs."""

import shlex

from fashionfae_lavis.errors import UserError


def add_parser(commands) -> None:
    """Adds the subcommand `prepare`, which has a subcommand for each kind of data."""
    text = "Prepare real data for training: check the files and write an index."
    kinds = commands.add_parser("prepare", help=text, description=text).add_subparsers(required=True, metavar="DATA")
    _add_catalogue(kinds)
    _add_fashion_mnist(kinds)
    _add_fashiongen(kinds)
    _add_fashioniq(kinds)


def _add_catalogue(kinds) -> None:
    text = "Prepare a product table (CSV, TSV, Excel, JSON, JSON Lines, Parquet) and a folder of images."
    parser = kinds.add_parser("catalogue", help=text, description=text)
    parser.add_argument(
        "--table",
        metavar="FILE",
        help="the table, with one row per product; without it, each photograph is a product, and its folder a category",
    )
    parser.add_argument("--images", required=True, metavar="DIR", help="the folder that image paths are relative to")
    parser.add_argument("--out", default="catalogue", metavar="DIR", help="folder to write (default: ./catalogue)")
    add_table_options(parser, "the attributes to learn, with their columns: colour=Primary_Colour,material")
    parser.add_argument(
        "--validation", type=float, default=0.1, metavar="SHARE", help="share of products for validation (default: 0.1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the validation split (default: 0)")
    parser.add_argument(
        "--max-bad",
        type=float,
        default=0.05,
        metavar="SHARE",
        help="share of rows that may be unusable (default: 0.05)",
    )
    parser.add_argument(
        "--vocabulary",
        metavar="NAME",
        help="a vocabulary to use, a folder or hub id such as bert-base-uncased (default: one made from the texts)",
    )
    parser.add_argument("--to", choices=["shards"], help="also write training products as tar files, for slow disks")
    parser.add_argument("--shards", metavar="DIR", help="folder for the shards (default: shards in the --out folder)")
    parser.set_defaults(run=_catalogue)


def add_table_options(parser, attributes: str) -> None:
    """Declares the options that say what the columns of a product table mean.

    Args:
        parser: the subcommand's parser.
        attributes: help of `--attributes`.
    """
    parser.add_argument(
        "--map",
        dest="columns",
        action="append",
        default=[],
        metavar="ROLE=COLUMN,...",
        help="the columns of id, title, description, image and split; columns with these names are found automatically",
    )
    parser.add_argument(
        "--attributes",
        action="append",
        default=[],
        metavar="NAME[=COLUMN],...",
        help=attributes,
    )
    parser.add_argument("--title", metavar="TEMPLATE", help="a title of several columns: '{brand} {colour} {type}'")
    parser.add_argument(
        "--group",
        type=lambda text: [column.strip() for column in text.split(",") if column.strip()],
        default=[],
        metavar="COLUMN,...",
        help="merge rows with equal values in these columns, such as the sizes of a product",
    )
    parser.add_argument("--pattern", help="file names of the images, if no column lists them: '{sku}_*.jpg'")


def _catalogue(columns: list[str], attributes: list[str], to: str | None, shards: str | None, **options) -> None:
    from fashionfae_lavis.prepare.catalogue import prepare_catalogue

    if shards and not to:
        raise UserError("--shards names the folder for --to shards: add --to shards.")
    of_attributes = parse_pairs("--attributes", attributes, alone=True)
    summary = prepare_catalogue(columns=parse_pairs("--map", columns), attributes=of_attributes, **options)
    _print_summary(summary, "catalogue/pretrain.yaml --options datasets.catalogue.root=")
    if to == "shards":
        from fashionfae_lavis.prepare.catalogue_shards import write_catalogue_shards

        root = summary.path.parent
        print(f"wrote {write_catalogue_shards(root, shards or root / 'shards')}")
        print(f"to train from the shards, add `storage: {shards or root / 'shards'}` to the dataset")


def _add_fashion_mnist(kinds) -> None:
    text = "Prepare Fashion-MNIST's 70,000 photographs (Debian's package dataset-fashion-mnist) as a catalogue."
    parser = kinds.add_parser("fashion-mnist", help=text, description=text)
    parser.add_argument("--source", metavar="DIR", help="folder of the four .gz files (default: the Debian package's)")
    parser.add_argument(
        "--out", default="fashion_mnist", metavar="DIR", help="folder to write (default: ./fashion_mnist)"
    )
    parser.set_defaults(run=_fashion_mnist)


def _fashion_mnist(source: str | None, out: str) -> None:
    from fashionfae_lavis.prepare.fashion_mnist import SOURCE, prepare_fashion_mnist

    summary = prepare_fashion_mnist(source or SOURCE, out)
    _print_summary(summary, "fashion_mnist/recognition.yaml --options datasets.catalogue_recognition.root=")


def _add_fashiongen(kinds) -> None:
    text = "Check and index FashionGen's two HDF5 files, or convert them to WebDataset shards."
    parser = kinds.add_parser("fashiongen", help=text, description=text)
    parser.add_argument("--root", required=True, metavar="DIR", help="folder of the two files")
    parser.add_argument("--check", action="store_true", help="only report the contents of the files; write nothing")
    parser.add_argument("--to", choices=["shards"], help="convert to tar files, for object storage or a slow disk")
    parser.add_argument("--out", metavar="DIR", help="folder for the shards (default: next to the files)")
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
            print(f"wrote {write_shards(file.path, out or root)}")
        print(f"train with datasets.fashiongen.build_info.images.storage={out or root}")
    else:
        for path in fashiongen.index_fashiongen(root):
            print(f"wrote {path}")


def _add_fashioniq(kinds) -> None:
    text = "Check which of FashionIQ's images exist."
    parser = kinds.add_parser("fashioniq", help=text, description=text)
    parser.add_argument("--root", required=True, metavar="DIR", help="folder of captions, image_splits and images")
    parser.add_argument(
        "--check", action="store_true", required=True, help="check every image, and list the missing and damaged ones"
    )
    parser.add_argument(
        "--missing",
        default="fashioniq_missing.txt",
        metavar="FILE",
        help="list to write (default: ./fashioniq_missing.txt)",
    )
    parser.set_defaults(run=_fashioniq)


def _fashioniq(root: str, check: bool, missing: str) -> None:
    from fashionfae_lavis.prepare.fashioniq import check_fashioniq, write_missing

    checks = check_fashioniq(root)
    for check_of_split in checks:
        print(check_of_split.describe())
    if write_missing(checks, missing):
        print(f"{missing} lists the missing and damaged images, one per line")
        print("to leave them out, delete the damaged ones and set --options datasets.fashioniq.allow_missing=True")


def parse_pairs(option: str, given: list[str], alone: bool = False) -> dict[str, str]:
    """Parses `a=b,c=d` to {"a": "b", "c": "d"}; with `alone`, `a` is short for `a=a`."""
    pairs = {}
    for entry in filter(None, (entry.strip() for text in given for entry in text.split(","))):
        name, equals, column = (part.strip() for part in entry.partition("="))
        if not name or (equals and not column) or not (equals or alone):
            raise UserError(f"{option} takes {'NAME or ' if alone else ''}NAME=COLUMN, not {entry!r}.")
        if name in pairs:
            raise UserError(f"{option} names {name} twice: name it once.")
        pairs[name] = column or name
    return pairs


def _print_summary(summary, recipe: str) -> None:
    """Prints what a catalogue contains and leaves out, and the command that trains on it.

    Args:
        summary: the statistics of the catalogue.
        recipe: path of a recipe below projects/fashionfae, with the option that takes the catalogue's folder.
    """
    products = ", ".join(f"{count} {split}" for split, count in summary.products.items())
    print(f"{summary.path}: {sum(summary.products.values())} products ({products}), {summary.images} images")
    if summary.merged_rows:
        print(f"  {summary.merged_rows} rows were merged into another row's product")
    if summary.addresses:
        print(f"  {summary.addresses} web addresses were matched to files by their names")
    for name, values in summary.values.items():
        print(f"  {name}: {values} values")
    for name, reason in summary.useless.items():
        print(f"  {name} is left out as an attribute, because {reason}")
    if not summary.values:
        _print_lack_of_attributes(summary.suggested)
    if summary.respelled:
        print(f"  {summary.respelled} values were changed to the first spelling of the same value")
    if summary.merged:
        pairs = [f"{name} {first!r} and {other!r}" for name, first, other in summary.merged]
        print(f"  values that differ only in a symbol were merged: {_some(pairs)}")
    if summary.missing:
        spellings = [f"{count} {text!r}" for text, count in sorted(summary.missing.items(), key=lambda item: -item[1])]
        print(f"  {sum(summary.missing.values())} cells were read as missing: {_some(spellings)}")
    if summary.decode_fallbacks:
        print(f"  {summary.decode_fallbacks} byte sequences were not UTF-8 and were read as Windows-1252")
    if summary.unusable or summary.left_out:
        reasons = ", ".join(f"{count} {problem}" for problem, count in sorted(summary.problems.items()))
        print(f"  not used: {summary.unusable} of {summary.rows} rows{f' ({reasons})' if reasons else ''}")
        print(f"  not used: {summary.left_out} images of products that have other images")
        print(f"  {summary.path.parent}/rejected.csv lists all of them")
    _print_duplicates(summary)
    lengths = summary.lengths
    of_words = f", {lengths.per_word:.2f} per word of titles and descriptions" if lengths.per_word else ""
    print(
        f"  {summary.path.parent}/vocabulary: {lengths.vocabulary} word pieces{of_words}; a text has "
        f"{lengths.mean:.0f} on average and at most {lengths.longest}"
    )
    if lengths.cut:
        print(
            f"  {100 * lengths.cut:.1f} % of the texts are longer than the {lengths.max_length} pieces that the models "
            "read and lose the end of their description: raise model.max_length"
        )
    root = shlex.quote(str(summary.path.parent))
    print(f"to train on it, in a clone: python -m lavis.train --cfg-path projects/fashionfae/{recipe}{root}")


def _print_lack_of_attributes(suggested: list[str]) -> None:
    print("  no attributes: AETP, which learns to predict their values from photographs, has only the words of titles")
    if suggested:
        print(f"  these columns may be attributes: {shlex.join(['--attributes', ','.join(suggested)])}")


def _print_duplicates(summary) -> None:
    found = summary.duplicates
    if found.titles or found.texts:
        print(f"  {found.titles} products share their title with another one, {found.texts} their whole text")
    if not found.identical and not found.near:
        return
    print(f"  {found.identical} products share an image file with another one")
    print(f"  {found.near} more products show nearly the same photograph as another one")
    if found.leaks:
        print(f"  {found.leaks} products outside of training share a photograph with one in training")
    print(f"  {summary.path.parent}/duplicates.csv lists the products that share a photograph")


def _some(entries: list[str], most: int = 5) -> str:
    """Joins the first entries by commas and counts the others."""
    more = len(entries) - most
    return ", ".join(entries[:most]) + (f" and {more} more" if more > 0 else "")
