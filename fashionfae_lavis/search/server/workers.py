"""A bounded queue in front of a few threads."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


class Busy(Exception):
    """Raised when the queue is full.

    Attributes:
        seconds: when to ask again.
    """

    seconds = 1

    def __init__(self) -> None:
        super().__init__("Too many people are searching: try again in a moment.")


class TooSlow(Exception):
    """Raised when a request takes longer than its time."""

    def __init__(self) -> None:
        super().__init__("The answer took too long: try again in a moment.")


class Workers:
    """Threads that answer requests, and a queue of limited length before them.

    Args:
        threads: number of requests in work at the same time.
        places: number of requests in work or waiting; further ones are turned away.
        seconds: longest time from the request to its answer.
    """

    def __init__(self, threads: int, places: int, seconds: float):
        self.places, self.seconds = places, seconds
        self.inside = 0
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(threads)

    async def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Runs a function in one of the threads.

        Raises:
            Busy: the queue is full.
            TooSlow: the answer takes too long. Work that has begun still ends in its thread, and counts until then.
        """
        with self._lock:
            if self.inside >= self.places:
                raise Busy
            self.inside += 1
        future = self._threads.submit(function, *arguments)
        future.add_done_callback(self._leave)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self.seconds)
        except asyncio.TimeoutError as error:
            raise TooSlow from error

    def _leave(self, future: "Future[Any]") -> None:
        with self._lock:
            self.inside -= 1

    def close(self) -> None:
        """Waits for the requests in work."""
        self._threads.shutdown(cancel_futures=True)
