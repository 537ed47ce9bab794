"""The settings of `datasets` for each dataset of this package, and of image and text processors."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Discriminator, Field, Tag

from fashionfae_lavis.processors.images import MEAN, STD
from fashionfae_lavis.schema.fields import Fraction, Must, Positive, Section, Text, one_of
from fashionfae_lavis.schema.models import Side
from fashionfae_lavis.text.product_text import CLASSES, MODES

Rgb = Annotated[list[Fraction], Must("a list of three numbers from 0 to 1", lambda rgb: len(rgb) == 3)]
Spread = Annotated[list[Positive], Must("a list of three numbers above 0", lambda rgb: len(rgb) == 3)]
OWN_IMAGE = ("fashionfae_image_train", "fashionfae_image_eval")


class ImageProcessor(Section):
    """An image processor: `vis_processor.train` and `vis_processor.eval`"""

    name: Annotated[str, one_of(OWN_IMAGE)]
    """`fashionfae_image_train` crops at random and mirrors, `fashionfae_image_eval` crops the centre."""
    resize: Side = 256
    """Length of the shorter side before the crop, in pixels."""
    image_size: Side = 224
    """Side of the square that is cut out, in pixels: the model's `image_size`."""
    mean: Rgb = list(MEAN)
    """Mean of red, green and blue over the images; the default is the authors'."""
    std: Spread = list(STD)
    """Standard deviation of red, green and blue; the default is the authors'."""


class PhotographProcessor(Section):
    """The image processor of training photographs: `vis_processor.train`"""

    name: Annotated[str, one_of(["fashionfae_photograph_train"])]
    """`fashionfae_photograph_train` crops a random part, mirrors, jitters colours and erases a rectangle."""
    image_size: Side = 224
    """Side of the result in pixels: the model's `image_size`."""
    area: Annotated[float, Field(gt=0, le=1)] = 0.6
    """The smallest share of the photograph that a crop keeps."""
    erasing: Fraction = 0.25
    """Probability of an erased rectangle."""
    colour_jitter: Fraction | None = None
    """Greatest relative change of brightness, contrast and saturation; null: 0 if colour is an attribute, else 0.1."""
    mean: Rgb = list(MEAN)
    """Mean of red, green and blue over the images; the default is the authors'."""
    std: Spread = list(STD)
    """Standard deviation of red, green and blue; the default is the authors'."""


class TextProcessor(Section):
    """A text processor: `text_processor.train` and `text_processor.eval`"""

    name: Annotated[str, one_of(["fashionfae_text"])]
    """`fashionfae_text` writes a product's text."""
    mode: Annotated[str, one_of(MODES)] = "description+attributes"
    """What the text states. `recognition` leaves out the classes."""
    shuffle: bool = False
    """Whether to write the attributes in random order."""


class OtherProcessor(Section):
    """Any other processor, which checks its own settings: `fashionfae_caption`, LAVIS's, or your own"""

    model_config = ConfigDict(extra="allow")

    name: Text
    """Name that it is registered under."""


def _tag(value: Any) -> str:
    """Chooses the class of a processor by its name."""
    name = value.get("name") if isinstance(value, Mapping) else None
    kinds = {
        **dict.fromkeys(OWN_IMAGE, "image"),
        "fashionfae_photograph_train": "photograph",
        "fashionfae_text": "text",
    }
    return kinds.get(name, "other") if isinstance(name, str) else "other"


Other = Annotated[OtherProcessor, Tag("other")]
Photograph = Annotated[PhotographProcessor, Tag("photograph")]
ImageChoice = Annotated[Annotated[ImageProcessor, Tag("image")] | Photograph | Other, Discriminator(_tag)]
TextChoice = Annotated[Annotated[TextProcessor, Tag("text")] | Other, Discriminator(_tag)]


class ImageProcessors(Section):
    """Image processors of training and evaluation"""

    train: ImageChoice
    """Processor of training images."""
    eval: ImageChoice
    """Processor of evaluation images."""


class TextProcessors(Section):
    """Text processors of training and evaluation"""

    train: TextChoice
    """Processor of training texts."""
    eval: TextChoice
    """Processor of evaluation texts."""


class Folder(Section):
    """`build_info.images`"""

    storage: Text | None = None
    """Folder of the dataset's files; a relative path is below the cache folder, null its default name there."""


class BuildInfo(Section):
    """`build_info`"""

    images: Folder
    """Where the files are."""


class Data(Section):
    """Settings of every dataset"""

    type: Annotated[str, one_of(["default"])] = "default"
    """The dataset's yaml of defaults in `fashionfae_lavis/configs/datasets/`."""
    data_type: Annotated[str, one_of(["images"])] = "images"
    """Kind of data, which LAVIS requires."""
    vis_processor: ImageProcessors
    """Image processors."""
    text_processor: TextProcessors
    """Text processors."""


class Stored(Section):
    """Files in a folder"""

    build_info: BuildInfo
    """Where the files are."""


class Products(Data):
    """Settings of every dataset of products"""

    double_view: bool = False
    """Adds a second view of the product to training items."""
    label: Text | None = None
    """Attribute to recognise."""


class FashionGen(Products, Stored):
    """`fashiongen`, `fashiongen_mini`"""

    label: Annotated[str, one_of(CLASSES)] | None = None
    """Attribute to recognise."""


class FashionVil(Products, Stored):
    """`fashionvil_fashiongen`, `fashionvil_facad`, `fashionvil_fashion200k`, `fashionvil_polyvore`"""

    allow_missing: bool = False
    """Leaves out images that are no longer available."""


class Catalogue(Products):
    """`catalogue`, `catalogue_retrieval`, `catalogue_recognition`"""

    root: Text | None = None
    """Folder that `fashionfae prepare catalogue` wrote."""
    storage: Text | None = None
    """Folder of training images that `fashionfae prepare catalogue --to shards` wrote; null reads the image files."""


class FashionIQ(Data, Stored):
    """`fashioniq`, `fashioniq_mini`"""

    allow_missing: bool = False
    """Leaves out images that are no longer available, and requests that need them."""


DATASETS: dict[str, type[Data]] = {
    "fashiongen": FashionGen,
    "fashiongen_mini": FashionGen,
    "fashionvil_fashiongen": FashionVil,
    "fashionvil_facad": FashionVil,
    "fashionvil_fashion200k": FashionVil,
    "fashionvil_polyvore": FashionVil,
    "catalogue": Catalogue,
    "catalogue_retrieval": Catalogue,
    "catalogue_recognition": Catalogue,
    "fashioniq": FashionIQ,
    "fashioniq_mini": FashionIQ,
}

# Splits that a dataset may have; for FashionViL's datasets and catalogues it depends on the files.
SPLITS: dict[type[Data], tuple[str, ...]] = {
    FashionGen: ("train", "val"),
    FashionIQ: ("train", "val"),
    FashionVil: ("train", "val", "test"),
    Catalogue: ("train", "val", "test"),
}

# Keys that LAVIS's own datasets read.
OF_LAVIS = ["type", "data_type", "dataset_card", "build_info", "vis_processor", "text_processor"]


class Preprocess(Section):
    """The top-level section `preprocess`: processors that `load_model_and_preprocess` builds"""

    vis_processor: ImageProcessors
    """Image processors."""
    text_processor: TextProcessors | None = None
    """Text processors."""
