import multiprocessing
import os
import signal
import time

import pytest

from fashionfae_lavis.workers import WAITING, WorkerDied, in_workers, progress_bar


def _square(number):
    time.sleep(0.01 * (number % 3))  # so that workers do not finish in order
    return number * number


def _die_at_five(number):
    return os._exit(1) if number == 5 else number


@pytest.fixture
def others():
    """The processes that other tests have left, such as a loader's in a traceback."""
    return set(multiprocessing.active_children())


@pytest.mark.parametrize("processes", [None, 1, 3, 20])
def test_results_come_in_the_order_of_the_items(processes):
    assert list(in_workers(_square, list(range(17)), processes)) == [number**2 for number in range(17)]


def test_a_worker_that_died_is_an_error_and_the_others_end(others):
    with pytest.raises(WorkerDied):
        list(in_workers(_die_at_five, list(range(50)), 3))
    assert set(multiprocessing.active_children()) <= others


def test_items_are_taken_only_as_they_are_needed(others):
    taken = []
    results = in_workers(_square, (taken.append(number) or number for number in range(100)), 3)
    assert [next(results) for _ in range(10)] == [number**2 for number in range(10)]
    assert len(taken) <= 10 + 3 * WAITING
    results.close()
    assert set(multiprocessing.active_children()) <= others


def test_a_handler_of_the_parent_does_not_keep_its_workers_alive(others):
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        results = in_workers(str, range(10), processes=2)
        assert next(results) == "0"
        results.close()  # terminates the workers and waits for them
    finally:
        signal.signal(signal.SIGTERM, before)
    assert set(multiprocessing.active_children()) <= others


def test_a_progress_bar_shows_the_total_and_separates_the_unit(capsys):
    with progress_bar(4, "checking images", "product") as bar:
        bar.update(4)
    shown = capsys.readouterr().err
    assert "checking images" in shown and "| 4/4 [" in shown and shown.rstrip().endswith(" product/s]")
