"""Small intact data in the formats that the package reads."""

import json
from pathlib import Path

import yaml
from PIL import Image
from torch.optim.optimizer import register_optimizer_step_post_hook

from .harness import Enough

GARMENTS = ("dress", "shirt", "toptee")
COLOURS = ("red", "blue", "green", "white")


def write_photographs(folder: Path, count: int = 4, size: int = 40, ending: str = "png") -> list[str]:
    """Writes plain photographs 0.png, 1.png, ... and returns their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number}.{ending}" for number in range(count)]
    for number, name in enumerate(names):
        Image.new("RGB", (size, size + number), (40 * number % 256, 90, 160)).save(folder / name)
    return names


def catalogue_lines(images: list[str], folder: str = "photos") -> list[dict]:
    """Returns the lines of a catalogue.jsonl with one product per image; every fourth is in `val`."""
    splits = ["val" if number % 4 == 3 else "train" for number in range(len(images))]
    head = {
        "format": 1,
        "table": "shop.csv",
        "images": folder,
        "attributes": ["colour", "kind"],
        "products": {split: splits.count(split) for split in ("train", "val") if split in splits},
    }
    products = [
        {
            "split": split,
            "row": number + 2,
            "id": str(100 + number),
            "images": [image],
            "title": f"Linen shirt {number}",
            "description": "A shirt with a collar.",
            "fields": {"colour": COLOURS[number % 4], "kind": "shirt" if number % 2 else "skirt"},
        }
        for number, (split, image) in enumerate(zip(splits, images, strict=True))
    ]
    return [head, *products]


def write_lines(path: Path, lines: list) -> None:
    """Writes JSON Lines; values that json does not know become texts."""
    path.write_bytes("".join(json.dumps(line, default=str) + "\n" for line in lines).encode("utf-8", "surrogatepass"))


def write_fashioniq(folder: Path, images: list[str]) -> None:
    """Writes FashionIQ's captions and lists for images that are in `folder`/images; the first is each reference."""
    for name in ("captions", "image_splits"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    ids = [Path(image).stem for image in images]
    request = {"candidate": ids[0], "target": ids[-1], "captions": ["is red", "has a collar"]}
    for garment in GARMENTS:
        for split in ("train", "val"):
            (folder / "captions" / f"cap.{garment}.{split}.json").write_text(json.dumps([request]))
            (folder / "image_splits" / f"split.{garment}.{split}.json").write_text(json.dumps(ids))


def tiny_config(
    root: str, task: str = "fashionfae_pretrain", arch: str = "fashionfae", data: str = "catalogue"
) -> dict:
    """Returns a configuration that trains the tiny model of tests/tiny.yaml for four updates on a catalogue."""
    model = yaml.safe_load((Path(__file__).parents[1] / "tiny.yaml").read_text())["model"]
    size = {"resize": 32, "image_size": 32}
    images = {"train": {"name": "fashionfae_image_train", **size}, "eval": {"name": "fashionfae_image_eval", **size}}
    return {
        "model": {**model, "arch": arch},
        "datasets": {data: {"root": root, "vis_processor": images}},
        "run": {
            "runner": "fashionfae_runner",
            "task": task,
            "output_dir": "output",
            "device": "cpu",
            "seed": 7,
            "max_iters": 4,
            "iters_per_inner_epoch": 2,
            "batch_size_train": 4,
            "batch_size_eval": 8,
            "num_workers": 0,
            "init_lr": 1e-3,
            "weight_decay": 0.01,
            "max_grad_norm": 1.0,
            "lr_sched": "linear_warmup_cosine_iter",
            "warmup_steps": 1,
            "resume_ckpt_path": None,
            "train_splits": ["train"],
            "valid_splits": [],
            "test_splits": ["val"],
        },
    }


def stop_after(updates: int) -> None:
    """Ends the case as accepted once the optimizer has made so many updates."""
    done = []

    def count(*_: object) -> None:
        done.append(None)
        if len(done) >= updates:
            raise Enough

    register_optimizer_step_post_hook(count)
