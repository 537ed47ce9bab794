import multiprocessing
import os
import time

import pytest

from fashionfae_lavis.datasets.drawn_data import drawing_into, in_workers, require_room
from fashionfae_lavis.errors import UserError


def _square(number):
    time.sleep(0.01 * (number % 3))  # so that workers do not finish in order
    return number * number


def _die_at_five(number):
    return os._exit(1) if number == 5 else number


@pytest.mark.parametrize("processes", [None, 1, 3, 20])
def test_results_come_in_the_order_of_the_items(processes):
    assert list(in_workers(_square, list(range(17)), processes)) == [number**2 for number in range(17)]


def test_a_worker_that_died_is_an_error_and_the_others_end():
    with pytest.raises(OSError, match="drawing was stopped"):
        list(in_workers(_die_at_five, list(range(50)), 3))
    assert not multiprocessing.active_children()


def _hold(folder, log):
    with drawing_into(folder, "Pictures"), open(log, "a", buffering=1) as file:
        file.write("in\n")
        time.sleep(0.2)
        file.write("out\n")


def test_one_process_at_a_time(tmp_path):
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_hold, args=(tmp_path / "made" / "here", log)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert log.read_text().split() == ["in", "out"] * 3


def test_a_failure_is_one_sentence_that_names_the_data_set(tmp_path):
    with (
        pytest.raises(UserError, match="cannot draw Pictures into .*FASHIONFAE_CACHE"),
        drawing_into(tmp_path, "Pictures"),
    ):
        require_room(tmp_path, 1 << 60)
