"""The web application: an API for programs and a page for people, over one index."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.index import IndexFailed
from fashionfae_lavis.search.query import Searcher
from fashionfae_lavis.search.server import api, page
from fashionfae_lavis.search.server.access import POLICY, Guarded
from fashionfae_lavis.search.server.attributes import Fitting
from fashionfae_lavis.search.server.context import Context, UploadTooSlow
from fashionfae_lavis.search.server.metrics import Measured, Metrics
from fashionfae_lavis.search.server.service import Service
from fashionfae_lavis.search.server.settings import Settings
from fashionfae_lavis.search.server.uploads import TooLarge
from fashionfae_lavis.search.server.workers import Busy, TooSlow, Workers

SENTENCES = {404: "There is no such page.", 405: "This address does not take such requests."}
STATUSES: dict[type[Exception], int] = {
    UserError: 400,
    IndexFailed: 500,
    ClientDisconnect: 400,  # nobody reads the answer
    UploadTooSlow: 408,
    TooLarge: 413,
    Busy: 503,
    Fitting: 503,
    TooSlow: 504,
}
FAILED = "The server failed to answer: its log says why."
# FastAPI's type of a wrong parameter -> how a message goes on; other types have a message of their own.
PARAMETER_PROBLEMS = {"missing": "is missing: add it", "extra_forbidden": "is unknown: leave it out"}


def create_app(searcher: Searcher, settings: Settings | None = None) -> FastAPI:
    """Makes the application.

    Args:
        searcher: the model and the index.
        settings: limits and access.

    Returns:
        The application, for an ASGI server such as uvicorn. It keeps nothing that clients send.
    """
    settings = settings or Settings()
    metrics = Metrics()
    service = Service(searcher, metrics.batches.observe)
    workers = Workers(settings.threads, settings.places, settings.seconds)
    pictures = Workers(2, 16 * settings.places, settings.seconds)
    context = Context(service, settings, metrics, workers, pictures)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.warm_up()
        yield
        context.close()

    app = FastAPI(
        title="fashionfae",
        summary="Search of products by words and photographs.",
        docs_url=None,  # FastAPI's pages for people load their scripts from another server
        redoc_url=None,
        lifespan=lifespan,
        middleware=[
            Middleware(Measured, metrics=metrics),
            Middleware(Guarded, token=settings.token, refuse=lambda request: failure(request, 401, page.SIGN_IN)),
        ],
        exception_handlers={kind: _handle for kind in (*STATUSES, RequestValidationError, HTTPException, Exception)},
    )
    app.state.context = context
    app.include_router(api.router)
    app.include_router(page.router)
    app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")))
    return app


async def _handle(request: Request, error: Exception) -> Response:
    """Answers a request that raised an error, in one sentence and without a stack trace."""
    if isinstance(error, RequestValidationError):
        problem = error.errors()[0]
        name = ".".join(str(part) for part in problem["loc"] if part not in ("query", "path", "body"))
        reason = PARAMETER_PROBLEMS.get(problem["type"], f"cannot be used: {problem['msg']}")
        return failure(request, 422, f"The parameter {name} {reason}.")
    if isinstance(error, HTTPException):
        sentence = SENTENCES.get(error.status_code, error.detail) if error.detail.istitle() else error.detail
        return failure(request, error.status_code, sentence)
    status = STATUSES.get(type(error), 500)
    if isinstance(error, IndexFailed):
        logging.error("%s", error)
    response = failure(request, status, FAILED if status == 500 else str(error))
    if isinstance(error, Busy | Fitting):
        response.headers["retry-after"] = str(error.seconds)
    return response


def failure(request: Request, status: int, sentence: str) -> Response:
    """Makes the answer that shows an error: a page for a browser, JSON for a program."""
    if "text/html" in request.headers.get("accept", ""):
        response: Response = page.problem_page(request, status, sentence)
    else:
        response = JSONResponse({"error": sentence}, status)
    response.headers.update(POLICY)  # an unexpected error is answered outside of `Guarded`
    if status == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response
