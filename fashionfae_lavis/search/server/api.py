"""The routes for programs."""

from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search import query as search
from fashionfae_lavis.search.index import Hit
from fashionfae_lavis.search.server import answers
from fashionfae_lavis.search.server.answers import Health, LabelAnswer, Problem, Product, ReadValue, SearchAnswer
from fashionfae_lavis.search.server.context import Context
from fashionfae_lavis.search.server.service import Service
from fashionfae_lavis.search.server.uploads import decode_upload
from fashionfae_lavis.search.where import Where

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The query, the filter or the photograph cannot be used."},
    401: {"model": Problem, "description": "The token is missing or wrong."},
    408: {"model": Problem, "description": "The upload took too long."},
    413: {"model": Problem, "description": "The upload is too large."},
    422: {"model": Problem, "description": "A parameter is missing, unknown or out of range."},
    500: {"model": Problem, "description": "The server or its index failed; its log says why."},
    503: {
        "model": Problem,
        "description": "Too many requests, or attributes cannot be read yet; Retry-After says when to ask again.",
    },
    504: {"model": Problem, "description": "The answer took too long."},
}
router = APIRouter(responses=ERRORS)
Model = TypeVar("Model", bound=BaseModel)


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Shared = Annotated[Context, Depends(_context)]


def thumbnail_path(service: Service, hit: Hit) -> str | None:
    """Returns the path of a product's thumbnail, which changes with the picture; None if it has none."""
    return f"thumbnail?{urlencode({'id': hit.id, 'v': service.version(hit)})}" if hit.thumbnail else None


def _upload(parameters: type[BaseModel]) -> dict[str, Any]:
    """Describes a form with a photograph and parameters to OpenAPI."""
    schema = parameters.model_json_schema()
    schema["properties"]["image"] = {"type": "string", "format": "binary"}
    schema["required"] = [*schema.get("required", ()), "image"]
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def _image_and(parameters: type[Model], form: FormData) -> tuple[UploadFile, Model]:
    """Takes a form with a photograph apart."""
    file = form.get("image")
    if not isinstance(file, UploadFile):
        raise UserError("The form has no photograph: send it as the file `image`.")
    try:
        return file, parameters.model_validate({name: value for name, value in form.items() if name != "image"})
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


def _names(text: str) -> list[str]:
    return [name for part in text.split(",") if (name := part.strip())]


def _answer(service: Service, asked: answers.Refinement, **query: Any) -> SearchAnswer:
    """Searches, and counts the facets of the products that meet the condition."""
    where = Where.parse(asked.where, service.index.info.columns) if asked.where else None
    facets = service.facets(_names(asked.facets), where)
    shared = {name: getattr(asked, name) for name in ("text", "without", "count", "offset", "least_score", "fold")}
    found = service.search(search.Query(where=where, **shared, **query))
    products = [answers.FoundProduct.found(each, thumbnail_path(service, each.hit)) for each in found]
    return SearchAnswer(products=products, facets=facets)


@router.get("/search")
async def search_by_text(context: Shared, asked: Annotated[answers.TextQuery, Query()]) -> SearchAnswer:
    """Finds products by words."""
    return await context.run(_answer, context.service, asked, rerank=asked.rerank)


@router.post("/search", openapi_extra=_upload(answers.PhotographQuery))
async def search_by_photograph(context: Shared, request: Request) -> SearchAnswer:
    """Finds products by a photograph, and optionally by words for how they differ from it."""
    file, asked = _image_and(answers.PhotographQuery, await context.read_form(request))

    def answer(data: bytes) -> SearchAnswer:
        return _answer(context.service, asked, image=decode_upload(data))

    return await context.run(answer, await file.read())


@router.get("/similar")
async def similar(context: Shared, asked: Annotated[answers.LikeQuery, Query()]) -> SearchAnswer:
    """Finds products like one of the index, and optionally by words for how they differ from it."""
    return await context.run(_answer, context.service, asked, like=asked.id)


@router.post("/label", openapi_extra=_upload(answers.LabelQuery))
async def label(context: Shared, request: Request) -> LabelAnswer:
    """Reads the values of attributes off a photograph."""
    file, asked = _image_and(answers.LabelQuery, await context.read_form(request))

    def answer(data: bytes) -> LabelAnswer:
        labels = context.service.attributes.read(decode_upload(data), _names(asked.attributes))
        return LabelAnswer(attributes={name: ReadValue.of(label) for name, label in labels.items()})

    return await context.run(answer, await file.read())


@router.get("/products/{id:path}", responses={404: {"model": Problem}})
async def product(context: Shared, id: str) -> Product:
    """Returns a product of the index."""
    hit = await context.run(context.service.product, id)
    if hit is None:
        raise HTTPException(404, f"There is no product with the id {id!r}.")
    return Product.of(hit, thumbnail_path(context.service, hit))


@router.get("/health")
async def health(context: Shared) -> Health:
    """Tells that the server answers, and what it serves."""
    info = context.service.index.info
    labels = context.service.attributes.state
    return Health(model=info.model, digest=info.digest, engine=info.engine, products=info.rows, labels=labels)


@router.get("/metrics", response_class=Response)
async def metrics(context: Shared) -> Response:
    """Returns the counters in Prometheus's text format."""
    context.metrics.inside.set(context.workers.inside)
    return Response(context.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
