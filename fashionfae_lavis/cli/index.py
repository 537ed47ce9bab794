"""`fashionfae index`: keeps the index of products that the other commands search."""

from pathlib import Path

LOCATION = "folder, URL of an object store (s3://, gs://, az://), or postgresql:// URL"
VECTORS = "vectors of the products, a .parquet file of `fashionfae embed`"


def add_parser(commands) -> None:
    """Declares the arguments."""
    text = "Create and change an index of products: their vectors, columns and thumbnails."
    parser = commands.add_parser("index", help=text, description=text)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    create_ = _action(actions, "create", create, "Create an index.")
    create_.add_argument("vectors", metavar="VECTORS", help=VECTORS)
    create_.add_argument("--replace", action="store_true", help="replace an index that is there already")
    for name, run, text in (
        ("add", add, "Add new products."),
        ("update", update, "Replace the products with the same ids, and add the others."),
    ):
        _action(actions, name, run, text).add_argument("vectors", metavar="VECTORS", help=VECTORS)
    _action(actions, "delete", delete, "Delete products.").add_argument(
        "ids", metavar="ID", nargs="+", help="id of a product"
    )
    _action(actions, "rebuild", rebuild, "Rewrite an index compactly, after many changes.")
    _action(actions, "check", check, "Read a whole index and list what is wrong with it.")
    _action(actions, "info", info, "Show what an index holds.")


def _action(actions, name: str, run, text: str):
    parser = actions.add_parser(name, help=text, description=text)
    parser.add_argument("location", metavar="LOCATION", help=LOCATION)
    parser.set_defaults(run=run)
    return parser


def create(location: str, vectors: str, replace: bool) -> None:
    """Creates an index."""
    from fashionfae_lavis.search.index import create_index
    from fashionfae_lavis.search.vectors import Vectors

    made = create_index(location, Vectors.read(Path(vectors)), replace).info
    print(f"{made.location}: {made.rows} products indexed")


def add(location: str, vectors: str) -> None:
    """Adds products."""
    from fashionfae_lavis.search.index import open_index
    from fashionfae_lavis.search.vectors import Vectors

    count = open_index(location).add(Vectors.read(Path(vectors)))
    print(f"{count} products added")


def update(location: str, vectors: str) -> None:
    """Replaces and adds products."""
    from fashionfae_lavis.search.index import open_index
    from fashionfae_lavis.search.vectors import Vectors

    count = open_index(location).update(Vectors.read(Path(vectors)))
    print(f"{count} products updated")


def delete(location: str, ids: list[str]) -> None:
    """Deletes products."""
    from fashionfae_lavis.search.index import open_index

    count = open_index(location).delete(ids)
    print(f"{count} products deleted; {len(set(ids)) - count} ids were not in the index")


def rebuild(location: str) -> None:
    """Rewrites an index."""
    from fashionfae_lavis.search.index import open_index

    index = open_index(location)
    index.rebuild()
    print(f"{index.info.location}: rebuilt")


def check(location: str) -> int:
    """Prints the problems of an index; returns status 1 if there are any."""
    from fashionfae_lavis.search.index import open_index

    index = open_index(location)
    problems = index.check()
    print("\n".join(problems) or f"{index.info.location}: {index.info.rows} products, no problem found")
    return 1 if problems else 0


def info(location: str) -> None:
    """Prints what an index holds."""
    from fashionfae_lavis.search.index import open_index

    found = open_index(location).info
    columns = ", ".join(f"{name} ({kind})" for name, kind in found.columns.items())
    print(f"{found.location}: {found.rows} products, kept by {found.engine}")
    print(f"  model    {found.model} ({found.digest}), vectors of {found.dim} numbers")
    print(f"  columns  {columns or 'none'}")
