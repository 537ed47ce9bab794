"""`fashionfae search`: searches an index by words, a photograph, a product, or words together with either."""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from fashionfae_lavis.errors import UserError

TEXTS = ("title", "description")  # columns that are not shown as attributes


def add_parser(commands) -> None:
    """Declares the arguments."""
    text = "Search an index by words, a photograph, or a product of the index."
    parser = commands.add_parser("search", help=text, description=text)
    parser.add_argument("location", metavar="INDEX", help="folder or URL of the index")
    parser.add_argument("text", metavar="TEXT", nargs="?", help='words, such as "navy linen dress" or "but in red"')
    parser.add_argument(
        "--image", metavar="FILE", help="photograph; with TEXT, the products differ from it as TEXT says"
    )
    parser.add_argument("--like", metavar="ID", help="use the photograph of this product of the index")
    parser.add_argument(
        "--where", metavar="FILTER", help="keep only products such as \"colour = 'red' and price < 60\""
    )
    parser.add_argument("--without", metavar="WORDS", help='what the products should not show, such as "print"')
    parser.add_argument("--count", type=int, default=10, help="number of products (default: 10)")
    parser.add_argument("--offset", type=int, default=0, help="number of products to skip (default: 0)")
    parser.add_argument("--rerank", metavar="N", type=int, default=0, help="order the first N by image-text matching")
    parser.add_argument("--least-score", metavar="COSINE", type=float, help="leave out products that score lower")
    parser.add_argument(
        "--fold", action=argparse.BooleanOptionalAction, default=True, help="show near-duplicates as one (default: yes)"
    )
    parser.add_argument("--model", help="checkpoint, folder or name of the model (default: the index's)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print the result as JSON")
    parser.add_argument("--sheet", metavar="PNG", help="picture of the result to write")
    parser.intermixed = True  # TEXT may follow the options
    parser.set_defaults(run=run)


def run(
    location: str,
    image: str | None,
    where: str | None,
    model: str | None,
    device: str,
    as_json: bool,
    sheet: str | None,
    **options: Any,
) -> None:
    """Searches the index and prints what it finds."""
    from fashionfae_lavis.photographs import read_photograph
    from fashionfae_lavis.search.index import open_index
    from fashionfae_lavis.search.query import Query, Searcher
    from fashionfae_lavis.search.where import Where

    if sheet and Path(sheet).suffix.lower() != ".png":
        raise UserError(f"--sheet {sheet} must be a .png file: give it such a name.")
    condition = Where.parse(where, open_index(location).info.columns) if where else None
    photograph = read_photograph(image) if image else None
    query = Query(image=photograph, where=condition, **options)
    searcher = Searcher.open(location, model, device)
    found = searcher.search(query)
    print(_json(found, query.offset) if as_json else _table(found, query.offset))
    if sheet:
        _draw(searcher, query, found, Path(sheet), where)


def _json(found, offset: int) -> str:
    """Returns a list of products with rank, id, score, match, also, image and fields."""
    products = [
        {
            "rank": rank,
            "id": each.hit.id,
            "score": round(each.hit.score, 6),
            "match": each.match,
            "also": list(each.also),
            "image": each.hit.image,
            "fields": each.hit.fields,
        }
        for rank, each in enumerate(found, start=offset + 1)
    ]
    return json.dumps(products, ensure_ascii=False, indent=1)


def _table(found, offset: int) -> str:
    from fashionfae_lavis.reports.hits_table import HitLine, hits_table

    if not found:
        return "No product was found."
    lines = [
        HitLine(
            each.hit.score,
            each.hit.id,
            each.hit.fields.get("title") or "",
            [_shown(name, value) for name, value in each.hit.fields.items() if name not in TEXTS and value is not None],
            each.also,
            each.match,
        )
        for each in found
    ]
    return hits_table(lines, shutil.get_terminal_size((100, 24)).columns, first=offset + 1)


def _shown(name: str, value: str | float) -> str:
    return value if isinstance(value, str) else f"{name} {value:g}"


def _draw(searcher, query, found, path: Path, where: str | None) -> None:
    from fashionfae_lavis.reports.search_sheet import FoundProduct, draw_search_sheet
    from fashionfae_lavis.search.query import picture

    asked = {"": query.text, "like ": query.like, "where ": where, "without ": query.without}
    image = picture(searcher.product(query.like)) if query.like else query.image
    products = [
        FoundProduct(picture(each.hit), each.hit.fields.get("title") or each.hit.id, each.hit.score) for each in found
    ]
    draw_search_sheet(", ".join(key + value for key, value in asked.items() if value), image, products, path)
