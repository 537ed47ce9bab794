import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from colour_shop import COLOURS, ColourEncoder, picture

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.server.batching import MOST, BatchingEncoder


class Held(ColourEncoder):
    """An encoder that waits in its first pass until it is released, while other calls arrive."""

    def __init__(self):
        super().__init__()
        self.started, self.release = threading.Event(), threading.Event()

    def embed_texts(self, texts):
        self.started.set()
        assert self.release.wait(10)
        return super().embed_texts(texts)


@pytest.fixture
def held():
    encoder = Held()
    batches = []
    batching = BatchingEncoder(encoder, batches.append)
    batching.batches = batches
    yield batching
    encoder.release.set()
    batching.close()


def together(batching, calls):
    """Starts calls while the model is busy with another one, and returns their results in order."""
    with ThreadPoolExecutor(len(calls) + 1) as pool:
        first = pool.submit(batching.embed_texts, ["white"])
        assert batching.encoder.started.wait(10)
        futures = [pool.submit(*call) for call in calls]
        while batching._waiting.qsize() < len(calls):
            pass
        batching.encoder.release.set()
        first.result(10)
        return [future.result(10) if not future.exception(10) else future.exception() for future in futures]


def test_calls_that_wait_share_one_pass_and_equal_single_calls(held):
    texts = [["red"], ["green", "blue"], ["red blue"], ["white"]]
    found = together(held, [(held.embed_texts, each) for each in texts])
    assert held.encoder.passes == [1, 5]
    assert held.batches == [1, 4]
    alone = ColourEncoder()
    for each, rows in zip(texts, found, strict=True):
        np.testing.assert_array_equal(rows, alone.embed_texts(each))


def test_images_and_texts_are_different_passes(held):
    images = [picture(COLOURS["red"]), picture(COLOURS["blue"])]
    calls = [(held.embed_texts, ["red"]), (held.embed_images, images), (held.embed_texts, ["blue"])]
    found = together(held, calls)
    assert [rows.shape for rows in found] == [(1, 48), (2, 48), (1, 48)]
    assert held.encoder.passes == [1, 2, 2]


def test_a_bad_call_fails_alone(held):
    found = together(held, [(held.embed_texts, [text]) for text in ("red", "broken", "blue")])
    assert isinstance(found[1], UserError) and str(found[1]) == "The text is broken: write another."
    np.testing.assert_array_equal(found[2], ColourEncoder().embed_texts(["blue"]))


def test_a_batch_has_a_limit(held):
    together(held, [(held.embed_texts, ["red"] * (MOST // 2)) for _ in range(3)])
    assert held.encoder.passes == [1, MOST, MOST // 2]


def test_a_function_runs_in_the_thread_of_the_model():
    batching = BatchingEncoder(ColourEncoder())
    assert batching.run(lambda encoder, extra: (threading.current_thread().name, extra), 3) == ("model", 3)
    with pytest.raises(ZeroDivisionError):
        batching.run(lambda encoder: 1 / 0)
    batching.close()
    assert not batching._thread.is_alive()
