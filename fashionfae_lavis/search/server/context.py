"""The state of a running server."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

from starlette.datastructures import FormData
from starlette.requests import Request

from fashionfae_lavis.search.server.metrics import Metrics
from fashionfae_lavis.search.server.service import Service
from fashionfae_lavis.search.server.settings import Settings
from fashionfae_lavis.search.server.uploads import read_form
from fashionfae_lavis.search.server.workers import Busy, Workers

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

    @cached_property
    def uploads(self) -> asyncio.Semaphore:
        """The places for forms that arrive, which are kept in memory."""
        return asyncio.Semaphore(self.settings.places)

    async def run(self, function: Callable[..., Result], *arguments: Any, **named: Any) -> Result:
        """Answers a request in one of the threads; see `Workers.run`."""
        return await self.workers.run(partial(function, *arguments, **named))

    async def read_form(self, request: Request) -> FormData:
        """Reads a form within the limits.

        Raises:
            Busy: too many forms arrive at the same time.
            UploadTooSlow: the form does not arrive in time.
        """
        if self.uploads.locked():
            raise Busy
        async with self.uploads:
            try:
                reading = read_form(request, self.settings.most_bytes)
                return await asyncio.wait_for(reading, self.settings.upload_seconds)
            except asyncio.TimeoutError as error:
                raise UploadTooSlow from error

    def close(self) -> None:
        """Waits for the requests in work."""
        for workers in (self.workers, self.pictures):
            workers.close()
        self.service.close()
