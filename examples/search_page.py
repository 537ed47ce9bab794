"""Goes from a spreadsheet and a folder of photographs to a search page, on drawn products.

    python examples/search_page.py shop                       # with the packaged weights
    python examples/search_page.py shop --minutes 5           # trains on the products first; run it in a clone
    python examples/search_page.py shop --keep                # keeps serving until Ctrl-C

It needs the extra [serve]. The first step draws FashionGen-Mini and writes it as a shop would have it: `shop.csv`, in
which some products lack a category, and `photos`. All further steps are commands, which are printed; on your own
table, start with the second.
"""

import argparse
import csv
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

from lavis.datasets.builders import load_dataset
from PIL import Image

from fashionfae_lavis.cli import main as command

RECIPE = Path(__file__).parents[1] / "projects" / "fashionfae" / "catalogue" / "pretrain.yaml"
MAP = ["--map", "id=sku,title=name,image=photo"]


def fashionfae(*arguments: object) -> None:
    """Prints and runs a command."""
    words = [str(argument) for argument in arguments]
    print(f"\n$ fashionfae {shlex.join(words)}", flush=True)
    command(words)


def write_shop(folder: Path, count: int) -> None:
    """Writes drawn products as shop.csv and photos; every fifth lacks its category."""
    dataset = load_dataset("fashiongen_mini")["val"]  # drawn on first use
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    first_rows = {int(product): row for row, product in reversed(list(enumerate(dataset.row_product)))}
    with open(folder / "shop.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["sku", "name", "description", "category", "photo", "price"])
        for product in range(min(count, len(first_rows))):
            fields, name = dataset.product_fields(product), f"{product}.jpg"
            Image.fromarray(dataset.photograph(first_rows[product])).save(folder / "photos" / name, quality=90)
            category = "" if product % 5 == 4 else fields["category"]
            row = [f"P{product}", fields["title"], fields["description"], category, name, 20 + 7 * product % 80]
            table.writerow(row)


def train(folder: Path, minutes: float) -> str:
    """Trains FashionFAE on the products; returns the checkpoint."""
    settings = {
        "datasets.catalogue.root": folder / "catalogue",
        "run.output_dir": folder / "runs",
        "run.max_minutes": minutes,
        "run.batch_size_train": 8,
        "run.num_workers": 0,
    }
    options = [f"{key}={value}" for key, value in settings.items()]
    fashionfae("train", "--cfg-path", RECIPE, "--options", *options)
    return str(max((folder / "runs").glob("*/checkpoint_last.pth")))


def fetch_page(index: Path, query: str, keep: bool) -> str:
    """Serves the index and returns the page that answers a query."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["serve", str(index), "--port", str(port)]
    print(f"\n$ fashionfae {shlex.join(words)}", flush=True)
    with subprocess.Popen([sys.executable, "-m", "fashionfae_lavis.cli", *words]) as server:
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(f"{address}/health", server)
            with urlopen(f"{address}/?q={quote(query)}", timeout=60) as answer:
                page = answer.read().decode()
            if keep:
                server.wait()
        finally:
            server.terminate()
    return page


def _wait_for(address: str, server: subprocess.Popen, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < deadline:
        try:
            urlopen(address, timeout=5).close()
            return
        except (URLError, OSError):
            time.sleep(0.2)
    raise SystemExit("The server did not start.")


def main(argv: list[str] | None = None) -> None:
    """Runs all steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder to write everything to")
    parser.add_argument("--products", type=int, default=200)
    parser.add_argument("--minutes", type=float, help="train on the products for so long (default: packaged weights)")
    parser.add_argument("--query", default="striped cotton shirt")
    parser.add_argument("--keep", action="store_true", help="keep serving the page until Ctrl-C")
    args = parser.parse_args(argv)
    folder = args.folder.absolute()
    table, photos, index = folder / "shop.csv", folder / "photos", folder / "index"

    write_shop(folder, args.products)
    images = ["--images", photos]
    out = ["--out", folder / "catalogue"]
    fashionfae("prepare", "catalogue", "--table", table, *images, *out, *MAP, "--attributes", "category")
    model = train(folder, args.minutes) if args.minutes else "fashionfae"
    fashionfae("embed", table, "--model", model, *images, *MAP, "--out", folder / "vectors.parquet")
    fashionfae("index", "create", index, folder / "vectors.parquet", "--replace")
    fashionfae("search", index, args.query, "--count", 3)
    fashionfae("search", index, "--like", "P0", "--where", "price < 60", "--count", 3)
    labelled = ["--out", folder / "labelled.csv"]
    fashionfae("label", table, "--model", model, *images, *MAP, "--attributes", "category", *labelled)
    page = fetch_page(index, args.query, args.keep)
    print(f"The page that answers {args.query!r} has {len(page):,} characters and {page.count('<img')} photographs.")


if __name__ == "__main__":
    main()
