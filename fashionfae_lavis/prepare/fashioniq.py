"""`fashionfae prepare fashioniq --check`: which images are missing. Many copies lack some, as shops delete theirs."""

from dataclasses import dataclass
from pathlib import Path

from fashionfae_lavis.datasets.datasets.fashioniq_files import CLASSES, find_images, read_image_list, read_requests
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import replacing
from fashionfae_lavis.prepare.images import image_problem
from fashionfae_lavis.workers import WorkerDied, all_cores, in_workers, progress_bar

SPLITS = ("train", "val")


@dataclass
class Found:
    """One class of one split: its requests, how many of them have both images, and its images."""

    garment: str
    split: str
    requests: int
    usable: int
    images: int
    problems: dict[str, str]  # image id -> what is wrong with it

    def describe(self) -> str:
        bad = f", {len(self.problems)} missing or damaged" if self.problems else ""
        usable = f"{self.usable} of {self.requests} requests can be used"
        return f"{self.garment} {self.split}: {usable}; {self.images} images{bad}"


def check_fashioniq(root: str | Path) -> list[Found]:
    """What there is of each class and split. Raises UserError as fashioniq_files does."""
    root = Path(root)
    found = []
    for garment in CLASSES:
        at_hand = find_images(root, garment)
        for split in SPLITS:
            requests = read_requests(root, garment, split)
            wanted = [image for request in requests for image in (request.reference, request.target)]
            wanted = list(dict.fromkeys([*read_image_list(root, garment, split), *wanted]))
            paths = [at_hand[image] for image in wanted if image in at_hand]
            problems = {image: "is missing" for image in wanted if image not in at_hand}
            try:
                with progress_bar(len(paths), f"{garment} {split}", "image") as bar:
                    for path, problem in zip(paths, in_workers(image_problem, paths, all_cores()), strict=True):
                        bar.update()
                        if problem:
                            problems[path.stem] = problem
            except WorkerDied as error:
                raise UserError(
                    f"{root}: a process that looks at images has died: free some memory, start again"
                ) from error
            usable = sum(not {request.reference, request.target} & problems.keys() for request in requests)
            found.append(Found(garment, split, len(requests), usable, len(wanted), problems))
    return found


def write_missing(found: list[Found], path: str | Path) -> int:
    """Write class, split, image and problem of each, a line with tabs between, if there are any; returns how many."""
    lines = [
        f"{part.garment}\t{part.split}\t{image}\t{why}\n" for part in found for image, why in part.problems.items()
    ]
    if lines:
        with replacing(Path(path)) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")
    return len(lines)
