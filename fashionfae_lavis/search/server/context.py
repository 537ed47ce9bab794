"""The state of a running server."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from starlette.datastructures import FormData
from starlette.requests import Request

from fashionfae_lavis.search.server.metrics import Metrics
from fashionfae_lavis.search.server.service import Service
from fashionfae_lavis.search.server.settings import Settings
from fashionfae_lavis.search.server.uploads import read_form
from fashionfae_lavis.search.server.workers import Workers

Result = TypeVar("Result")


class UploadTooSlow(Exception):
    """Raised for an upload that takes too long."""

    def __init__(self) -> None:
        super().__init__("The photograph took too long to arrive: try again, or choose a smaller one.")


@dataclass(frozen=True, eq=False)
class Context:
    """What the routes share."""

    service: Service
    settings: Settings
    metrics: Metrics
    workers: Workers
    pictures: Workers  # for thumbnails that are not in memory, so that they do not displace searches

    async def run(self, function: Callable[..., Result], *arguments: Any, **named: Any) -> Result:
        """Answers a request in one of the threads; see `Workers.run`."""
        return await self.workers.run(partial(function, *arguments, **named))

    async def read_form(self, request: Request) -> FormData:
        """Reads a form within the limits.

        Raises:
            UploadTooSlow: the form does not arrive in time.
        """
        try:
            return await asyncio.wait_for(read_form(request, self.settings.most_bytes), self.settings.upload_seconds)
        except asyncio.TimeoutError as error:
            raise UploadTooSlow from error

    def close(self) -> None:
        """Waits for the requests in work."""
        for workers in (self.workers, self.pictures):
            workers.close()
        self.service.close()
