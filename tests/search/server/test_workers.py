import asyncio
import threading
import time

import pytest

from fashionfae_lavis.search.server.workers import Busy, TooSlow, Workers


def test_the_queue_is_bounded_and_empties_again():
    release = threading.Event()

    async def ask():
        workers = Workers(threads=1, places=2, seconds=10)
        first, second = asyncio.create_task(workers.run(release.wait)), asyncio.create_task(workers.run(int, "7"))
        await asyncio.sleep(0.05)
        with pytest.raises(Busy):
            await workers.run(int, "8")
        release.set()
        assert (await first, await second) == (True, 7)
        assert await workers.run(int, "9") == 9
        workers.close()
        assert workers.inside == 0

    asyncio.run(ask())


def test_slow_work_times_out_but_counts_until_it_ends():
    release = threading.Event()

    async def ask():
        workers = Workers(threads=1, places=2, seconds=0.05)
        for _ in range(2):  # the second never begins
            with pytest.raises(TooSlow):
                await workers.run(release.wait)
        assert workers.inside == 1
        release.set()
        while workers.inside:
            await asyncio.sleep(0.01)
        workers.close()

    asyncio.run(ask())


def test_errors_of_the_work_are_passed_on():
    async def ask():
        workers = Workers(threads=1, places=1, seconds=5)
        start = time.monotonic()
        with pytest.raises(ValueError, match="invalid literal"):
            await workers.run(int, "x")
        assert time.monotonic() - start < 1 and workers.inside == 0
        workers.close()

    asyncio.run(ask())
