"""The page for people: a form, the products, and the filters, made on the server."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image
from starlette.datastructures import ImmutableMultiDict, UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.index import Hit
from fashionfae_lavis.search.labels import Label
from fashionfae_lavis.search.query import Found, Query, picture
from fashionfae_lavis.search.server.access import COOKIE, cookie_for, equals
from fashionfae_lavis.search.server.api import Shared, thumbnail_path
from fashionfae_lavis.search.server.service import Facets, Service, both
from fashionfae_lavis.search.server.uploads import decode_upload, from_text, reduce, to_text
from fashionfae_lavis.search.where import And, ColumnType, Comparison, Condition, Where
from fashionfae_lavis.text.product_text import normalise

COUNT = 24  # products on a page
LAST_PAGE = 100
LONGEST = 1000  # characters of a text
SHOWN = 8  # values of a facet before "more"
SURE = 1 / 3  # least confidence of a value that the page shows
PRICE = "price"
SIGN_IN = "Enter the token to search."
YEAR = "max-age=31536000, immutable"

templates = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Asked:
    """What the form asks for.

    Attributes:
        text: words; with a photograph or a product, how the wanted ones differ from it.
        like: id of a product, to find others like it.
        picture: the photograph as text, which the page carries from one request to the next.
        without: words for what products should not show.
        chosen: facet -> chosen values.
        low, high: limits of the price as they were typed.
        page: number of the page, from 1.
        but: whether the visitor chose "This, but ..." and has yet to type how the wanted products differ.
    """

    text: str = ""
    like: str = ""
    picture: str = ""
    without: str = ""
    chosen: dict[str, list[str]] = field(default_factory=dict)
    low: str = ""
    high: str = ""
    page: int = 1
    but: bool = False

    @classmethod
    def read(cls, form: ImmutableMultiDict[str, Any]) -> "Asked":
        """Reads the fields of a form or of an address; ignores unknown ones."""

        def text(name: str, longest: int = LONGEST) -> str:
            value = form.get(name, "")
            return value.strip()[:longest] if isinstance(value, str) else ""

        dropped = text("drop")
        chosen: dict[str, list[str]] = {}
        for pair in form.getlist("f"):
            name, colon, value = pair.partition(":") if isinstance(pair, str) else ("", "", "")
            if colon and pair != dropped:
                chosen.setdefault(name, []).append(value)
        page = text("page")
        return cls(
            text=text("q"),
            like=text("like"),
            picture=text("picture", 10**6),
            without=text("without") if dropped != "without" else "",
            chosen=chosen,
            low=text("low", 20) if dropped != PRICE else "",
            high=text("high", 20) if dropped != PRICE else "",
            page=min(int(page), LAST_PAGE) if page.isdecimal() and int(page) else 1,
            but="but" in form,
        )

    @property
    def is_query(self) -> bool:
        """Whether there is something to rank by."""
        return bool(self.text or self.like or self.picture)

    @property
    def filters(self) -> int:
        """Number of conditions."""
        return sum(map(len, self.chosen.values())) + bool(self.low or self.high) + bool(self.without)

    @property
    def address(self) -> str:
        """The address of the same page without the photograph or the product."""
        fields = [("q", self.text), ("without", self.without), ("low", self.low), ("high", self.high)]
        chosen = [("f", f"{name}:{value}") for name, values in self.chosen.items() for value in values]
        return f"./?{urlencode([(name, value) for name, value in fields if value] + chosen)}"

    def price(self, columns: Mapping[str, ColumnType]) -> Where | None:
        """Returns the condition on the price.

        Args:
            columns: columns of the index with their types.

        Raises:
            UserError: a limit is not a number, or the index has no prices.
        """
        if (self.low or self.high) and columns.get(PRICE) != "number":
            raise UserError("The products have no prices: leave the limits of the price empty.")
        conditions: list[Condition] = []
        for limit, operator in ((self.low, ">="), (self.high, "<=")):
            if limit:
                try:
                    number = float(limit.replace(",", "."))
                except ValueError:
                    number = math.nan
                if not math.isfinite(number):
                    raise UserError(f"The price {limit!r} is not a number: write one such as 49.90.")
                conditions.append(Comparison(PRICE, operator, number))
        return Where(And(tuple(conditions))) if conditions else None


@dataclass(frozen=True, eq=False)
class Results:
    """What the page shows."""

    products: Sequence[Found]
    more: bool
    example: Hit | None
    facets: Facets
    labels: dict[str, Label]

    @property
    def upright(self) -> bool:
        """Whether most pictures are in portrait format, which decides the shape of all frames."""
        pictures = [Image.open(BytesIO(found.hit.thumbnail)) for found in self.products if found.hit.thumbnail]
        return 2 * sum(picture.height > 1.1 * picture.width for picture in pictures) > len(pictures)

    def reasons(self, hit: Hit, text: str) -> set[str]:
        """Returns the values of a product that the text names, or that the photograph or the example also has."""
        words = f" {normalise(text)} "
        read = dict(self.example.fields) if self.example else {}
        read |= {name: label.value for name, label in self.labels.items()}
        texts = {name: value for name, value in hit.fields.items() if isinstance(value, str) and value}
        return {value for name, value in texts.items() if value == read.get(name) or f" {normalise(value)} " in words}


def answer(service: Service, asked: Asked, upload: bytes) -> tuple[Asked, Results]:
    """Answers the form.

    Args:
        service: the service.
        asked: the form.
        upload: a photograph that was chosen with this request, empty for none.

    Returns:
        The form, with the photograph if one was uploaded, and the products.
    """
    image = None
    if upload:
        asked = replace(asked, picture=to_text(reduce(decode_upload(upload))), like="", page=1)
    if asked.picture:
        image = from_text(asked.picture)  # what the next pages will search by
        asked = replace(asked, like="")
    columns = service.index.info.columns
    price = asked.price(columns)
    where = both(Where.choose(asked.chosen, columns), price)
    offset = COUNT * (asked.page - 1)
    if asked.is_query:
        query = Query(
            text=asked.text or None,
            image=image,
            like=asked.like or None,
            where=where,
            without=asked.without or None,
            count=COUNT + 1,
            offset=offset,
        )
        products = service.search(query)
    else:
        products = [Found(hit) for hit in service.browse(where, offset, COUNT + 1)]
    labels = service.attributes_so_far(image) if image else {}
    labels = {name: label for name, label in labels.items() if label.confidence >= SURE}
    facets = service.facets_beside(asked.chosen, price)
    example = service.product(asked.like) if asked.like else None
    return asked, Results(products[:COUNT], len(products) > COUNT, example, facets, labels)


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Fills a template."""
    context: Any = request.app.state.context
    shared = {
        "service": context.service,
        "settings": context.settings,
        "thumbnail": lambda hit: thumbnail_path(context.service, hit),
        "urlencode": urlencode,
        "COUNT": COUNT,
        "SHOWN": SHOWN,
        "PRICE": PRICE,
        "SURE": SURE,
    }
    return HTMLResponse(templates.get_template(template).render(**shared, **values), status)


def problem_page(request: Request, status: int, sentence: str) -> HTMLResponse:
    """Shows an error in one sentence, above the form."""
    if status == 401:
        return render(request, "sign_in.html", status, problem="")
    asked = Asked.read(request.query_params)
    return render(request, "search.html", status, asked=asked, results=None, problem=sentence)


@router.get("/")
async def search(context: Shared, request: Request) -> Response:
    """Shows the products for an address."""
    asked, results = await context.run(answer, context.service, Asked.read(request.query_params), b"")
    return render(request, "search.html", asked=asked, results=results, problem="")


@router.post("/")
async def search_by_photograph(context: Shared, request: Request) -> Response:
    """Shows the products for a form with a photograph."""
    form = await context.read_form(request)
    photograph = form.get("photo")
    upload = await photograph.read() if isinstance(photograph, UploadFile) else b""
    if isinstance(photograph, UploadFile) and photograph.filename and not upload:
        raise UserError("The photograph is an empty file: choose another one.")
    asked, results = await context.run(answer, context.service, Asked.read(form), upload)
    return render(request, "search.html", asked=asked, results=results, problem="")


@router.get("/why")
async def why(context: Shared, request: Request, id: str, q: str = "") -> Response:
    """Shows a product, its attributes and why it matched."""
    hit, labels = await context.run(_looked_at, context.service, id)
    return render(request, "why.html", hit=hit, text=q[:LONGEST], labels=labels)


def _looked_at(service: Service, identifier: str) -> tuple[Hit, dict[str, Label]]:
    hit = service.product(identifier)
    if hit is None:
        raise HTTPException(404, f"There is no product with the id {identifier!r}.")
    image = picture(hit)
    return hit, service.attributes_so_far(image) if image else {}


@router.get("/heat-map")
async def heat_map(context: Shared, id: str, q: str) -> Response:
    """Returns the picture of where a product matches a text."""
    service = context.service

    def draw() -> bytes | None:
        hit = service.product(id)
        image = picture(hit) if hit else None
        return service.heat_map(image, q[:LONGEST]) if image and q.strip() and service.explains else None

    drawn = await context.run(draw)
    if drawn is None:
        raise HTTPException(404, "There is no such heat map.")
    return Response(drawn, media_type="image/png")


@router.get("/thumbnail")
async def thumbnail(context: Shared, request: Request, id: str, v: str = "") -> Response:
    """Returns the picture of a product, which a browser may cache until its version changes."""
    service = context.service
    jpeg = service.kept_thumbnail(v)
    if not jpeg:
        hit = await context.pictures.run(service.product, id)
        if hit is None or not hit.thumbnail:
            raise HTTPException(404, f"There is no picture of {id!r}.")
        jpeg, current = hit.thumbnail, service.version(hit)
    else:
        current = v
    headers = {"etag": f'"{current}"', "cache-control": f"private, {YEAR if v == current else 'no-cache'}"}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return Response(jpeg, media_type="image/jpeg", headers=headers)


@router.post("/sign-in")
async def sign_in(context: Shared, request: Request) -> Response:
    """Remembers the token in a cookie of the browser."""
    token = context.settings.token or ""
    given = (await context.read_form(request)).get("token", "")
    if not isinstance(given, str) or not equals(given.strip().encode(), token):
        return render(request, "sign_in.html", 401, problem="This is not the token: try again.")
    response = RedirectResponse("./", 303)
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, cookie_for(token), httponly=True, samesite="strict", secure=secure)
    return response
