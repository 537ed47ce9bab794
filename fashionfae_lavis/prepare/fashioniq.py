"""`fashionfae prepare fashioniq --check`: finds missing and damaged images.

Many copies of FashionIQ are incomplete, because shops delete their images.
"""

from dataclasses import dataclass
from pathlib import Path

from fashionfae_lavis.datasets.datasets.fashioniq_files import CLASSES, find_images, read_image_list, read_requests
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.files import replacing
from fashionfae_lavis.prepare.images import image_problem
from fashionfae_lavis.threads import all_cores
from fashionfae_lavis.workers import WorkerDied, in_workers, progress_bar

SPLITS = ("train", "val")


@dataclass
class SplitCheck:
    """Result of the check of one class in one split.

    Attributes:
        garment, split: the class and the split.
        requests, usable: numbers of all requests, and of requests whose two images are readable.
        images: number of images that the requests and the image list name.
        problems: image id -> its problem.
    """

    garment: str
    split: str
    requests: int
    usable: int
    images: int
    problems: dict[str, str]

    def describe(self) -> str:
        """Formats the result for people, in one line."""
        bad = f", {len(self.problems)} missing or damaged" if self.problems else ""
        usable = f"{self.usable} of {self.requests} requests can be used"
        return f"{self.garment} {self.split}: {usable}; {self.images} images{bad}"


def check_fashioniq(root: str | Path) -> list[SplitCheck]:
    """Decodes all images that the requests and image lists below `root` name, for each class and split.

    Raises:
        UserError: a file of requests or images is missing, damaged or malformed.
    """
    root = Path(root)
    checks = []
    for garment in CLASSES:
        present = find_images(root, garment)
        for split in SPLITS:
            requests = read_requests(root, garment, split)
            wanted = [image for request in requests for image in (request.reference, request.target)]
            wanted = list(dict.fromkeys([*read_image_list(root, garment, split), *wanted]))
            paths = [present[image] for image in wanted if image in present]
            problems = {image: "is missing" for image in wanted if image not in present}
            try:
                with progress_bar(len(paths), f"{garment} {split}", "image") as bar:
                    for path, problem in zip(paths, in_workers(_problem, paths, all_cores()), strict=True):
                        bar.update()
                        if problem:
                            problems[path.stem] = problem
            except WorkerDied as error:
                raise UserError(
                    f"{root}: a process that checks images died: free some memory and run the command again."
                ) from error
            usable = sum(not {request.reference, request.target} & problems.keys() for request in requests)
            checks.append(SplitCheck(garment, split, len(requests), usable, len(wanted), problems))
    return checks


def _problem(path: Path) -> str:
    return image_problem(path.name, path.parent)


def write_missing(checks: list[SplitCheck], path: str | Path) -> int:
    """Writes class, split, image and problem of each bad image, separated by tabs; returns the number of lines.

    Writes no file if there are no bad images.
    """
    lines = [
        f"{check.garment}\t{check.split}\t{image}\t{problem}\n"
        for check in checks
        for image, problem in check.problems.items()
    ]
    if lines:
        with replacing(Path(path)) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")
    return len(lines)
