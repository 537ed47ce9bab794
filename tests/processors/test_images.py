import pickle

import numpy as np
import pytest
import torch
from lavis.common.registry import registry
from omegaconf import OmegaConf
from PIL import Image
from torchvision import transforms
from torchvision.transforms import RandomResizedCrop

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.photographs import ENOUGH, ORIENTATION, read_photograph
from fashionfae_lavis.processors.images import (
    MEAN,
    RATIO,
    STD,
    FashionImageEvalProcessor,
    FashionImageTrainProcessor,
    FashionPhotographProcessor,
    NormalisedTensor,
    shorter_side,
)


def picture(height=256, width=256, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_eval_equals_torchvision_where_nothing_is_resized():
    reference = transforms.Compose([transforms.CenterCrop(224), transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    image = picture()
    ours = FashionImageEvalProcessor()(image)
    assert ours.shape == (3, 224, 224) and ours.dtype == torch.float32
    torch.testing.assert_close(ours, reference(Image.fromarray(image)))


def test_normalised_pixels_equal_those_of_torchvision_exactly():
    reference = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    image = Image.fromarray(picture(37, 300))
    assert len(np.unique(image)) == 256
    assert torch.equal(NormalisedTensor(MEAN, STD)(image), reference(image))


def test_pixels_are_normalised_with_the_recipe_s_mean_and_deviation():
    grey = np.full((256, 256, 3), 51, np.uint8)
    expected = [(0.2 - mean) / std for mean, std in zip(MEAN, STD, strict=True)]
    torch.testing.assert_close(FashionImageEvalProcessor()(grey)[:, 0, 0], torch.tensor(expected))


def test_half_size_is_the_mean_of_four_pixels():
    image = picture()
    half = np.asarray(shorter_side(image, 128)).astype(float)
    mean = image.reshape(128, 2, 128, 2, 3).mean(axis=(1, 3))
    assert np.abs(half - mean).max() <= 0.5


@pytest.mark.parametrize(("size", "expected"), [((300, 200), (384, 256)), ((200, 300), (256, 384))])
def test_the_shorter_side_is_resized(size, expected):
    assert shorter_side(Image.new("RGB", size), 256).size == expected


@pytest.mark.parametrize("name", ["cut-out.png", "turned.jpg", "deep.png"])
def test_a_photograph_is_what_a_dataset_reads(tmp_path, name):
    cut_out = np.dstack([np.zeros((60, 50, 3), np.uint8), np.full((60, 50), 255, np.uint8)])
    cut_out[:30, :, 3] = 0
    deep = np.linspace(0, 65535, 3000).astype(np.uint16).reshape(60, 50)
    pixels = {"cut-out.png": cut_out, "turned.jpg": picture(60, 50), "deep.png": deep}[name]
    exif = Image.Exif()
    exif[ORIENTATION] = 6 if name == "turned.jpg" else 1
    Image.fromarray(pixels).save(tmp_path / name, exif=exif)
    read = np.asarray(read_photograph(tmp_path / name))
    assert read.std() > 30  # neither black nor saturated
    processor = FashionImageEvalProcessor(32, 40)
    expected = processor(read)
    for image in (tmp_path / name, str(tmp_path / name), Image.open(tmp_path / name)):
        assert torch.equal(processor(image), expected)


def test_what_is_no_photograph_is_one_sentence(tmp_path):
    processor = FashionImageEvalProcessor(32, 40)
    with pytest.raises(UserError, match=r"none.jpg is missing: use another file\.$"):
        processor(tmp_path / "none.jpg")
    Image.fromarray(picture()).save(tmp_path / "half.jpg")
    (tmp_path / "half.jpg").write_bytes((tmp_path / "half.jpg").read_bytes()[:9000])
    with pytest.raises(UserError, match="The image cannot be read: image file is truncated.*: use another one"):
        processor(Image.open(tmp_path / "half.jpg"))


@pytest.mark.parametrize("dtype", [np.uint16, np.int64, np.float32, bool])
def test_an_array_of_another_type_or_shape_is_one_sentence(dtype):
    processor = FashionImageEvalProcessor(32, 40)
    for array in (np.zeros((50, 60, 3), dtype), np.zeros((50, 60), np.uint8), np.zeros((0, 0, 3), np.uint8)):
        with pytest.raises(UserError, match=r"The image is an array \(.*but must be \(H, W, 3\) of uint8"):
            processor(array)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_other_pictures_become_rgb(mode):
    assert FashionImageEvalProcessor(32, 40)(Image.new(mode, (60, 50))).shape == (3, 32, 32)


def test_arrays_and_pictures_give_the_same():
    image = picture(280, 260)
    for processor in (FashionImageEvalProcessor(112, 128), FashionImageTrainProcessor(112, 128)):
        torch.manual_seed(3)
        first = processor(image)
        torch.manual_seed(3)
        assert torch.equal(first, processor(Image.fromarray(image)))


def test_train_crops_and_mirrors_at_random_from_torch_s_generator():
    # Red grows to the right: its slope says whether the picture was mirrored, its least value where it begins
    image = np.zeros((128, 128, 3), np.uint8)
    image[..., 0] = np.arange(128)
    processor = FashionImageTrainProcessor(image_size=112, resize=128)

    def draw(seed):
        torch.manual_seed(seed)
        red = processor(image)[0, 0] * STD[0] * 255 + MEAN[0] * 255
        return round(float(red.min())), bool(red[0] > red[-1])

    drawn = [draw(seed) for seed in range(60)]
    assert drawn == [draw(seed) for seed in range(60)]
    assert {left for left, _ in drawn} <= set(range(17)) and len({left for left, _ in drawn}) > 10
    assert 15 < sum(mirrored for _, mirrored in drawn) < 45


def test_the_array_itself_is_not_changed():
    image = picture(112, 112)
    before = image.copy()
    FashionImageEvalProcessor(112, 112)(image)
    assert (image == before).all()


@pytest.mark.parametrize("name", ["fashionfae_image_train", "fashionfae_image_eval"])
def test_registered_with_lavis(name):
    processor_class = registry.get_processor_class(name)
    config = OmegaConf.create({"name": name, "image_size": 48, "resize": 64})
    assert processor_class.from_config(config)(picture()).shape == (3, 48, 48)
    assert processor_class.from_config()(picture()).shape == (3, 224, 224)
    assert pickle.loads(pickle.dumps(processor_class(48, 64)))(picture()).shape == (3, 48, 48)


def test_photographs_are_cropped_mirrored_and_erased_at_random():
    torch.manual_seed(0)
    ramp = np.zeros((64, 64, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(64)[None] * 4, np.arange(64)[:, None] * 4
    ramp[..., 2] = 255
    processor = FashionPhotographProcessor(32, erasing=0.5, mean=(0, 0, 0), std=(1, 1, 1))
    crops = [processor(Image.fromarray(ramp)) for _ in range(300)]
    assert all(crop.shape == (3, 32, 32) for crop in crops)
    erased = [bool((crop[2] == 0).any()) for crop in crops]
    assert 110 < sum(erased) < 190
    whole = [crop for crop, gone in zip(crops, erased, strict=True) if not gone]
    mirrored = [bool(crop[0, 0, 0] > crop[0, 0, -1]) for crop in whole]
    assert 0.35 < np.mean(mirrored) < 0.65
    widths = [float((crop[0].max() - crop[0].min()) * 255 / 4) for crop in whole]
    assert min(widths) < 56 and max(widths) > 60 and all(crop[1, 0, 0] < crop[1, -1, 0] for crop in whole)
    areas = [w * float((c[1].max() - c[1].min()) * 255 / 4) / 62**2 for w, c in zip(widths, whole, strict=True)]
    assert 0.55 < min(areas) < 0.7 and max(areas) <= 1.05
    torch.testing.assert_close(torch.stack(whole)[:, 2], torch.ones(len(whole), 32, 32))


@pytest.mark.parametrize(("image_size", "area"), [(112, 0.6), (224, 0.6), (112, 0.25), (384, 0.6)])
def test_a_photograph_of_enough_pixels_is_never_enlarged(image_size, area):
    enough = FashionPhotographProcessor(image_size, area).enough
    assert enough <= ENOUGH
    sides = [RandomResizedCrop.get_params(torch.empty(3, enough, enough), (area, 1.0), RATIO)[2:] for _ in range(2000)]
    smallest = min(map(min, sides))
    if enough < ENOUGH:
        assert image_size - 1 <= smallest <= 1.1 * image_size  # sides are rounded


def test_colours_change_only_where_they_may():
    torch.manual_seed(0)
    plain = Image.new("RGB", (40, 40), (200, 100, 50))
    still = FashionPhotographProcessor.from_config(
        {"image_size": 32, "erasing": 0, "mean": [0, 0, 0], "std": [1, 1, 1]}
    )
    assert len({tuple(still(plain)[:, 0, 0].tolist()) for _ in range(10)}) == 1
    jittered = FashionPhotographProcessor(32, erasing=0, colour_jitter=0.1, mean=(0, 0, 0), std=(1, 1, 1))
    reds = [float(jittered(plain)[0, 0, 0]) * 255 for _ in range(50)]
    assert len(set(reds)) > 10 and 150 < min(reds) < max(reds) < 250
