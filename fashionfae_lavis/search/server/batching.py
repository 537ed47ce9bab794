"""Shared forward passes: calls that wait at the same time run through the model as one batch.

One thread runs the model. While it computes, other calls wait in its queue, and it takes all of them next. A call that
comes alone starts at once: nothing waits for a batch to fill.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import chain
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fashionfae_lavis.search.encoder import Encoder

MOST = 32  # rows of a shared forward pass
MERGED = ("embed_images", "embed_texts", "compose")  # row i of the result depends on row i of the arguments alone

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class _Call:
    """A call that waits. The arguments of a merged method are lists of equal length."""

    method: str
    arguments: tuple[Any, ...]
    result: "Future[Any]" = field(default_factory=Future)

    @property
    def rows(self) -> int:
        return len(self.arguments[0]) if self.method in MERGED else 1


class BatchingEncoder(Encoder):
    """Encoder for many threads, whose concurrent calls share forward passes of another encoder.

    Args:
        encoder: the encoder that does the work, in one thread.
        on_batch: called with the number of calls of every forward pass; passes of `run` do not count.
    """

    def __init__(self, encoder: Encoder, on_batch: Callable[[int], None] = lambda calls: None):
        vars(self).update(vars(encoder))
        self.encoder, self.on_batch = encoder, on_batch
        self._waiting: SimpleQueue[_Call | None] = SimpleQueue()
        self._left: _Call | None = None  # taken from the queue, but too large for the batch
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    def reads(self, text: str) -> bool:
        """Returns whether the text processing leaves anything of a text."""
        return self.encoder.reads(text)

    def embed_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Embeds B images at unit length, (B, dim)."""
        return self._call("embed_images", list(images))

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeds B texts at unit length, (B, dim)."""
        return self._call("embed_texts", list(texts))

    def compose(self, images: Sequence[Image.Image], texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeds B images, each with a text that changes it, at unit length, (B, dim)."""
        return self._call("compose", list(images), list(texts))

    def match(self, images: Sequence[Image.Image], text: str) -> NDArray[np.float32]:
        """Returns the probabilities (B,) that the images match a text."""
        return self._call("match", list(images), text)

    def rerank(
        self, images: Sequence[Image.Image], text: str, cosines: Sequence[float]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Judges B images that a text found; see `Encoder.rerank`."""
        return self._call("rerank", list(images), text, list(cosines))

    def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Runs a function with the encoder and `arguments` in the thread of the model, and returns its result."""
        return self._call("run", function, *arguments)

    def close(self) -> None:
        """Answers the waiting calls, then ends the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _call(self, method: str, *arguments: Any) -> Any:
        call = _Call(method, arguments)
        self._waiting.put(call)
        return call.result.result()

    def _work(self) -> None:
        while calls := self._take():
            for method in dict.fromkeys(call.method for call in calls):
                same = [call for call in calls if call.method == method]
                if method in MERGED:
                    self._run_together(same)
                else:
                    for call in same:
                        self._run_alone(call)

    def _take(self) -> list[_Call]:
        """Waits for a call, and returns it with the calls queued after it, up to `MOST` rows; none after `close`."""
        first = self._left or self._waiting.get()
        self._left = None
        if first is None:
            return []
        calls, rows = [first], first.rows
        while rows < MOST:
            try:
                call = self._waiting.get_nowait()
            except Empty:
                break
            if call is None:
                self._waiting.put(None)
                break
            rows += call.rows
            if rows > MOST:
                self._left = call
                break
            calls.append(call)
        return calls

    def _run_together(self, calls: list[_Call]) -> None:
        arguments = [list(chain(*lists)) for lists in zip(*(call.arguments for call in calls), strict=True)]
        try:
            rows = getattr(self.encoder, calls[0].method)(*arguments)
        except Exception:  # one bad call fails the batch, so run each one alone
            for call in calls:
                self._run_alone(call)
            return
        self.on_batch(len(calls))
        ends = np.cumsum([call.rows for call in calls])
        for call, part in zip(calls, np.split(rows, ends[:-1]), strict=True):
            call.result.set_result(part)

    def _run_alone(self, call: _Call) -> None:
        try:
            if call.method == "run":
                function, *arguments = call.arguments
                result = function(self.encoder, *arguments)
            else:
                result = getattr(self.encoder, call.method)(*call.arguments)
        except BaseException as error:
            call.result.set_exception(error)
        else:
            call.result.set_result(result)
        if call.method != "run":
            self.on_batch(1)
