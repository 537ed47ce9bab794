"""Tiny folders in the layouts of FashionViL's preprocessed data."""

import json

from PIL import Image

# Ids of different datasets may be equal, as in the real ones.
PRODUCTS = {
    "FashionGen": lambda i: {
        "images": [f"{i}_0.png", f"{i}_1.png"],
        "title": f"Striped cotton shirt {i}",
        "description": "Long sleeves.",
        "category": "TOPS",
        "subcategory": "SHIRTS",
        "gender": "Men" if i % 2 else "Women",
        "season": "SS2017",
        "composition": "100% cotton",
        "category_id": 3,
        "subcategory_id": 7,
    },
    "BigFACAD": lambda i: {
        "images": [f"{i:05}_{view}.jpeg" for view in range(1 + i % 3)],
        "title": f"wool coat {i}",
        "description": "warm and long",
        "color": "dark green" if i % 2 else "",
    },
    "Fashion200k": lambda i: {
        "images": [f"{'dresses' if i % 2 else 'tops'}/{'long_sleeved_tops'}/{i}/{i}_0.jpeg"],
        "title": f"black lace dress {i}",
    },
    "PolyvoreOutfits": lambda i: {"images": f"{i}.jpg", "title": f"leather bag {i}", "description": "with a strap"},
}
SPLITS = {
    "FashionGen": {"train": "train", "val": "val"},
    "BigFACAD": {"train": "images", "val": "images"},
    "Fashion200k": {"train": "women", "test": "women"},
    "PolyvoreOutfits": {"train": "images"},
}


def products(name: str, count: int, first: int = 0) -> list[dict]:
    """Returns entries for the json file of this dataset."""
    return [{**PRODUCTS[name](i), "id": i, "attributes_id": [i, 2]} for i in range(first, first + count)]


def write_split(folder, split: str, images: str, entries: list[dict]) -> None:
    """Writes one json file and its images, whose red value depends on the product's id."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{split}_info.json").write_text(json.dumps(entries))
    for entry in entries:
        for name in [entry["images"]] if isinstance(entry["images"], str) else entry["images"]:
            path = folder / images / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (36, 40), (5 * entry["id"], 90, 160)).save(path, quality=95)


def write_layouts(root, counts: dict[str, int], evaluated: int = 4) -> None:
    """Writes `counts` training products of each of these datasets, and `evaluated` products in every other split."""
    for name, count in counts.items():
        for split, images in SPLITS[name].items():
            entries = products(name, count) if split == "train" else products(name, evaluated, first=count)
            write_split(root / name, split, images, entries)
