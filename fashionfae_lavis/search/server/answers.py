"""What the API takes and gives."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from fashionfae_lavis.search.index import Hit
from fashionfae_lavis.search.labels import Label
from fashionfae_lavis.search.query import Found
from fashionfae_lavis.search.server.attributes import State

Words = Annotated[str, Field(max_length=1000)]


class Refinement(BaseModel):
    """Parameters of all searches."""

    model_config = ConfigDict(extra="forbid")

    where: Annotated[str | None, Field(description="Filter, such as colour in ('blue', 'navy') and price < 60.")] = None
    without: Annotated[Words | None, Field(description="Words for what the products should not show.")] = None
    count: Annotated[int, Field(ge=1, le=100)] = 10
    offset: Annotated[int, Field(ge=0, le=10_000)] = 0
    least_score: Annotated[float | None, Field(ge=-1, le=1, description="The lowest cosine that counts.")] = None
    fold: Annotated[bool, Field(description="Show near-duplicates as one product.")] = True
    facets: Annotated[str, Field(description="Attributes to count, separated by commas.")] = ""


class TextQuery(Refinement):
    """Parameters of a search by words."""

    text: Annotated[Words, Field(min_length=1, description="Words, such as navy linen dress.")]
    rerank: Annotated[int, Field(ge=0, le=200, description="Products to order by image-text matching.")] = 0


class PhotographQuery(Refinement):
    """Parameters of a search by a photograph."""

    text: Annotated[Words | None, Field(description="How the wanted products differ from the photograph.")] = None


class LikeQuery(Refinement):
    """Parameters of a search for products like one of the index."""

    id: Annotated[str, Field(min_length=1, max_length=1000, description="Id of the product.")]
    text: Annotated[Words | None, Field(description="How the wanted products differ from it.")] = None


class LabelQuery(BaseModel):
    """Parameters of labelling."""

    model_config = ConfigDict(extra="forbid")

    attributes: Annotated[str, Field(description="Attributes to read, separated by commas; all by default.")] = ""


class Product(BaseModel):
    """A product of the index."""

    id: str
    fields: dict[str, Any]
    thumbnail: Annotated[str | None, Field(description="Path of the picture.")]

    @classmethod
    def of(cls, hit: Hit, thumbnail: str | None) -> "Product":
        """Describes a product."""
        return cls(id=hit.id, fields=dict(hit.fields), thumbnail=thumbnail)


class FoundProduct(Product):
    """A product that was found."""

    score: Annotated[float, Field(description="Cosine of the product and the query.")]
    match: Annotated[float | None, Field(description="Probability that text and image match, if re-ranked.")]
    also: Annotated[list[str], Field(description="Ids of its near-duplicates.")]

    @classmethod
    def found(cls, found: Found, thumbnail: str | None) -> "FoundProduct":
        """Describes a product that was found."""
        product = Product.of(found.hit, thumbnail)
        return cls(**dict(product), score=found.hit.score, match=found.match, also=list(found.also))


class SearchAnswer(BaseModel):
    """A page of products, best first."""

    products: list[FoundProduct]
    facets: Annotated[dict[str, dict[str, int]], Field(description="attribute -> value -> products that have it")]


class ReadValue(BaseModel):
    """A value read off a photograph."""

    value: str
    confidence: Annotated[float, Field(description="Calibrated probability that the value is right.")]
    runner_up: Annotated[str, Field(description="The next best value.")]

    @classmethod
    def of(cls, label: Label) -> "ReadValue":
        """Describes a label."""
        return cls(**label._asdict())


class LabelAnswer(BaseModel):
    """The attributes of a photograph."""

    attributes: dict[str, ReadValue]


class Health(BaseModel):
    """The state of the server."""

    status: str = "ok"
    model: str
    digest: str
    engine: str
    products: int
    labels: Annotated[
        State, Field(description="Whether /label answers: `none` if no attribute of the index has enough known values.")
    ]


class Problem(BaseModel):
    """An error, in one sentence."""

    error: str
